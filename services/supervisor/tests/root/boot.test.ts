// A boot of the host, and many containers at once.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { ContainerStatus } from "@berth/api/containers";
import { openStore } from "@berth/store";
import { eventually } from "@berth/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Node, parentOf } from "./harness.ts";

let node: Node;
beforeAll(async () => {
  node = await Node.open();
});
afterAll(() => node.close());

const stateOf = async (id: string) => (await node.supervisor.inspect({ container: id })).container?.state;

async function run(policy: string): Promise<string> {
  const { id } = await node.supervisor.create({
    spec: node.spec(["sleep", "1000"], {}, { restartPolicy: { name: policy } }),
  });
  await node.supervisor.start({ container: id });
  return id;
}

test("after a boot of the host the restart policies are obeyed", async () => {
  const [always, unless, running, no] = [
    await run("always"),
    await run("unless-stopped"),
    await run("unless-stopped"),
    await run("no"),
  ];
  for (const id of [always, unless]) await node.supervisor.stop({ container: id, timeout: 0 });
  const pids = await Promise.all([running, no].map(async (id) => (await stateOf(id))?.pid ?? 0));
  await node.end("supervisor", "SIGKILL");
  for (const pid of pids) process.kill(await parentOf(pid), "SIGKILL");
  const store = await openStore(join(node.stateDir, "db"));
  await store.write([store.table<string>("meta").putOp("boot-id", "another boot")]);
  await store.close();
  node.startService("supervisor");
  await node.serving();
  await eventually("they run again", async () => {
    for (const id of [always, running]) expect(await stateOf(id)).toMatchObject({ status: ContainerStatus.RUNNING });
    return true;
  });
  expect(await stateOf(unless)).toMatchObject({ status: ContainerStatus.EXITED, exitCode: 137 });
  expect(await stateOf(no)).toMatchObject({ status: ContainerStatus.EXITED, exitCode: 137 });
  for (const id of [always, unless, running, no]) await node.supervisor.remove({ container: id, force: true });
});

test("forty containers, eight at a time, leave nothing", async () => {
  const descriptors = () => readdir(`/proc/${node.pidOf("supervisor")}/fd`).then((names) => names.length);
  const one = async () => {
    const { id } = await node.supervisor.create({
      spec: node.spec(["sh", "-c", "exit 3"], {}, { networkMode: "bridge", autoRemove: true }),
    });
    const wait = node.supervisor.wait({ container: id, condition: 3 })[Symbol.asyncIterator]();
    await wait.next();
    await node.supervisor.start({ container: id });
    expect((await wait.next()).value).toMatchObject({ exitCode: 3 });
  };
  await one();
  const before = await descriptors();
  let left = 40;
  const worker = async () => {
    while (left-- > 0) await one();
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  await eventually("all descriptors are given back", async () => {
    expect(await descriptors()).toBeLessThanOrEqual(before + 2);
    return true;
  });
  for (const path of [join(node.runDir, "containers"), join(node.runDir, "m"), join(node.stateDir, "containers")]) {
    expect(await readdir(path)).toEqual([]);
  }
});
