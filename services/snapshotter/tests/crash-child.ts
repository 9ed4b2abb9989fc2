/** One life of a snapshotter, for the crash test: opens DIRECTORY, does everything once, and dies at the fault point given. */
import { join } from "node:path";
import { openStore } from "@berth/store";
import { dieAt } from "../src/domain/fault.ts";
import { OverlaySnapshotter } from "../src/domain/overlay.ts";
import { levelRecords } from "../src/store/records.ts";
import { makeImage, memoryBlobs } from "./images.ts";

const [directory = "", point] = process.argv.slice(2);
const blobs = new Map<string, Buffer>();
const { layers, chainId } = await makeImage(blobs, [{ "dir/a": "1", b: "2" }, { "dir/c": "3" }]);
const unneeded = await makeImage(blobs, [{ c: "4" }, { d: "5" }]);
const snapshotter = await OverlaySnapshotter.open({
  base: join(directory, "snapshots"),
  records: levelRecords(await openStore(join(directory, "records"))),
  blobs: memoryBlobs(blobs),
  bootId: "first boot",
  parallel: 2,
  maxLayerBytes: 1 << 20,
  fault: dieAt(point),
  named: { chainIds: async () => new Set(layers.map((layer) => layer.chainId)) },
  graceMs: 0,
});
await snapshotter.prepare("kept", "");
await snapshotter.prepare("c1", chainId, { layers });
await snapshotter.commit("c1", "committed");
await snapshotter.prepare("c2", "committed");
await snapshotter.remove("c2");
for await (const _ of snapshotter.unpack(unneeded.layers));
await snapshotter.settle();
await snapshotter.close();
