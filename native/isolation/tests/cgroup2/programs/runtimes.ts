// On cgroup v2: containers whose processes runc and crun make. Ends with status 1 and the reason at the first thing that is not so.
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Bed, type Container, type ContainerOptions, cgroupPaths } from "../../root/monitor-bed.ts";

for (const name of ["runc", "crun"]) {
  const bed = await Bed.make();
  const start = (args: readonly string[], options: ContainerOptions = {}) =>
    bed.start(args, {
      namespaces: ["pid", "mount", "uts", "ipc", "network", "cgroup"],
      ...options,
      runtime: `/tools/bin/${name}`,
    });
  const isForgotten = ({ id, directory }: Container) => {
    const states = join(directory, "state");
    assert.deepEqual(existsSync(states) ? readdirSync(states) : [], [], "what the runtime knows");
    assert.deepEqual(cgroupPaths(id), [], "control groups");
  };

  const brief = await start(["sh", "-c", "echo out; cat /proc/self/cgroup; exit 7"]);
  assert.equal(brief.report["event"], "started", JSON.stringify(brief.report));
  assert.equal((await brief.exit())["exitCode"], 7);
  assert.equal(await brief.logText(), "out\n0::/\n");
  isForgotten(brief);

  const box = await start(["sleep", "1000"], { resources: { memory: { limit: 64 << 20 }, pids: { limit: 10 } } });
  assert.equal(box.report["event"], "started", JSON.stringify(box.report));
  const stats = await box.ask({ op: "stats" });
  assert.deepEqual([stats["memory_limit"], stats["pids_limit"], stats["memory_version"]], [64 << 20, 10, 2]);
  assert.deepEqual(await box.ask({ op: "update", resources: { pids: { limit: 20 } } }), { ok: true });
  assert.equal((await box.ask({ op: "stats" }))["pids_limit"], 20);
  const exec = await box.exec("one", ["sh", "-c", "id -u; exit 3"], { uid: 5 });
  assert.equal(exec.answer["ok"], true, JSON.stringify(exec.answer));
  assert.equal(await exec.client.text(), "5\n");
  const terminal = await box.exec("two", ["tty"], { terminal: true });
  assert.equal(terminal.answer["ok"], true, JSON.stringify(terminal.answer));
  assert.match((await terminal.client.raw()).toString(), /^\/dev\/(pts\/\d|console)/);
  assert.equal((await box.exec("three", ["nope"])).answer["exitCode"], 127);
  assert.deepEqual(await box.ask({ op: "pause" }), { ok: true });
  assert.equal((await box.ask({ op: "state" }))["status"], "paused");
  assert.equal((await box.kill(9))["exitCode"], 137);
  isForgotten(box);

  // One of the two is enough for what the monitor and the kernel do: an emulated machine is slow.
  if (name === "crun") {
    const hungry = await start(["sh", "-c", "x=a; while :; do x=$x$x; done"], {
      resources: { memory: { limit: 16 << 20, swap: 16 << 20 } },
    });
    const end = await hungry.exit();
    assert.deepEqual([end["exitCode"], end["oomKilled"]], [137, true]);
    isForgotten(hungry);

    const failed = await start(["nope"]);
    assert.equal(failed.report["phase"], "runtime-create");
    isForgotten(failed);
  }
  assert.deepEqual(await bed.close(), []);
  console.log(`${name}: as it should be`);
}
