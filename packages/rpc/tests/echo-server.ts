// A server in a process of its own: answers with what it was asked, four times over; what begins with "slow", never.
import { ImageStoreDefinition } from "@berth/api/images";
import { createLogger } from "@berth/log";
import { createRpcServer } from "../src/index.ts";

const log = createLogger({ service: "test", level: "silent" });
const server = createRpcServer({ config: { listen: [process.argv[2] ?? ""], metricsListen: undefined }, log });
server.add(ImageStoreDefinition, {
  getImage: ({ reference }, { signal }) =>
    reference.startsWith("slow")
      ? new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
      : Promise.resolve({ image: { id: reference, repoTags: [reference, reference, reference] } }),
});
await server.listen();
process.send?.("ready");
