/** Begins everything that lasts, and ends in the middle of it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { native } from "../../ts/native.ts";

const { directory, how } = workerData;
const target = join(directory, `target-${how}-${Math.random()}`);
mkdirSync(target);
const blob = join(directory, "growing");
writeFileSync(blob, Buffer.alloc(4096));
const options = {
  target,
  whiteouts: true,
  hashCompressed: false,
  maxBytes: 0,
  maxEntries: 10,
  sync: false,
  faithful: false,
  deferLinks: false,
};
const ignore = (promises) => {
  for (const promise of [promises.opened, promises.done]) promise.catch(() => {});
};
const push = new native.LayerApply({ ...options, source: { kind: "push", path: null } });
push.start().catch(() => {});
push.write(Buffer.alloc(700));
const follow = new native.LayerApply({ ...options, source: { kind: "follow", path: blob } });
follow.start().catch(() => {});
follow.advance(1000);
const diff = new native.LayerDiff({
  upper: directory,
  whiteouts: true,
  gzip: false,
  live: false,
  faithful: false,
  lower: [],
  ignored: [],
});
diff.read().catch(() => {});
// Of this process: its root is a container's as good as any.
const view = {
  process: process.pid,
  parent: process.ppid,
  rootfs: [],
  binds: [],
  at: "",
  throwaway: false,
  alone: false,
};
const tree = new native.TreeRead(view, "/usr/include", null);
tree.start().catch(() => {});
tree.read().catch(() => {});
const write = new native.TreeWrite(view, { directory: target, keepKind: false, user: null, inbox: null });
ignore(write.start());
write.write(Buffer.alloc(700));
// Nobody ever hands a connection over to these.
const inbox = (name) => join(target, name);
const waitingRead = new native.TreeRead(view, "/usr/include", inbox("read"));
waitingRead.start().catch(() => {});
waitingRead.read().catch(() => {});
ignore(new native.TreeWrite(view, { directory: target, keepKind: false, user: null, inbox: inbox("write") }).start());
const log = { compact: false, stdout: true, stderr: true, timestamps: false, details: false, framed: true };
ignore(new native.LogSend({ ...log, files: [], since: "", until: "", inbox: inbox("log") }).start());
const [read] = native.pipe();
native.watchReport(read, -1).promise.catch(() => {});
native.diskUsage("/usr/include").catch(() => {});
native.spawnDetached({ file: "/bin/sleep", args: ["sleep", "0.05"], env: [], fds: [], cgroup: null }).catch(() => {});
if (how === "throw") throw new Error("on purpose");
if (how === "exit") process.exit(0);
parentPort.postMessage("begun"); // and be terminated
setInterval(() => {}, 1000);
