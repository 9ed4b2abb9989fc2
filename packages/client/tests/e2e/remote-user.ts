// Somebody on another host: prints the names of the nodes, or the reason of the failure. Arguments: address, CA's file, own file.
import { isBerthError } from "@berth/errors";
import { connectBerth } from "../../src/index.ts";

const [address = "", ca = "", identity = ""] = process.argv.slice(2);
const berth = connectBerth(address, { ...(ca !== "" && { tls: { ca, identity } }), patienceMs: 0 });
try {
  console.log((await berth.nodes.list()).map(({ name }) => name).join(" "));
} catch (error) {
  console.log(isBerthError(error) ? error.reason : error);
} finally {
  berth.close();
}
