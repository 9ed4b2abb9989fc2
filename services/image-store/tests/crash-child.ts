// One image's life, in a process that a test lets die at a chosen point: node crash-child.ts DIR POINT
import { addImage, openTestStore } from "./support.ts";

const [dir = "", point = ""] = process.argv.slice(2);
const store = await openTestStore(dir, point);
// Written at once: what is said must be out before the process dies.
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const lease = await store.leases.create(60);
const { manifest } = await addImage(store, { content: ["a", "b"], lease });
say("stored");
await store.images.tag(manifest, "x", "");
say("tagged");
await store.leases.delete(lease);
say("removing");
await store.remover.remove("x", { force: false, noPrune: false, inUse: [] });
say("removed");
await store.housekeeper.now();
say("collected");
await store.close();
