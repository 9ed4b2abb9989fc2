// Makes one call with the certificate it is told to show; run by itself, so that it can be put inside a network namespace.
// Takes {address, method, identityCa?, identity?} as JSON, prints {reason, message} or {reason: "OK"}.
import { ImageStoreDefinition } from "@berth/api/images";
import { SnapshotterDefinition } from "@berth/api/snapshots";
import { isBerthError } from "@berth/errors";
import { createClients, type TlsFiles } from "@berth/rpc";

interface Wish extends TlsFiles {
  address: string;
  method: "listImages" | "createLease" | "stat";
}

const { address, method, ...files } = JSON.parse(process.argv[2] ?? "{}") as Wish;
const clients = createClients(undefined, { hostId: "test", patienceMs: 2_000, ...files });
try {
  if (method === "stat") await clients.at(SnapshotterDefinition, address).stat({ key: "x" });
  else if (method === "listImages") await clients.at(ImageStoreDefinition, address).listImages({});
  else await clients.at(ImageStoreDefinition, address).createLease({ ttlSeconds: 1 });
  process.stdout.write(JSON.stringify({ reason: "OK" }));
} catch (error) {
  const reason = isBerthError(error) ? error.reason : "INTERNAL";
  process.stdout.write(JSON.stringify({ reason, message: (error as Error).message }));
} finally {
  clients.close();
}
