// A supervisor that dies at any point loses nothing and leaves nothing.
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { ContainerStatus } from "@berth/api/containers";
import { eventually } from "@berth/testkit";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { execToEnd, failure, Node, parentOf, textOf, unframe, waitExit } from "./harness.ts";

let node: Node;
beforeAll(async () => {
  node = await Node.open();
});
afterAll(() => node.close());
afterEach(async () => {
  const { containers } = await node.supervisor.list({ all: true });
  for (const { id } of containers) await node.supervisor.remove({ container: id, force: true, volumes: true });
});

const list = async () => (await node.supervisor.list({ all: true })).containers;
const leftovers = async () => ({
  containers: await readdir(join(node.stateDir, "containers")),
  bundles: await readdir(join(node.runDir, "containers")),
  sockets: await readdir(join(node.runDir, "m")),
});

for (const point of ["create.claimed", "create.prepared"]) {
  test(`dying at ${point}: no container, its name is free again`, async () => {
    await node.dieAt(point, () => node.supervisor.create({ name: "gone", spec: node.spec(["true"]) }));
    expect(await list()).toEqual([]);
    const again = await eventually("the name is free", () =>
      node.supervisor.create({ name: "gone", spec: node.spec(["true"]) }),
    );
    expect((await leftovers()).containers).toEqual([again.id]);
  });
}

test("dying at create.recorded: the container is there, with its key", async () => {
  const request = { name: "kept", spec: node.spec(["true"]), idempotencyKey: "k" };
  await node.dieAt("create.recorded", () => node.supervisor.create(request));
  const [container] = await list();
  expect(container).toMatchObject({ name: "kept", state: { status: ContainerStatus.CREATED } });
  expect((await node.supervisor.create(request)).id).toBe(container?.id);
  await node.supervisor.start({ container: "kept" });
  expect(await waitExit(node, "kept")).toBe(0);
});

test("dying at start.prepared: it can be started again", async () => {
  const { id } = await node.supervisor.create({ spec: node.spec(["sh", "-c", "exit 7"]) });
  await node.dieAt("start.prepared", () => node.supervisor.start({ container: id }));
  expect((await list())[0]).toMatchObject({ state: { status: ContainerStatus.CREATED } });
  expect(await leftovers()).toMatchObject({ bundles: [], sockets: [] });
  await node.supervisor.start({ container: id });
  expect(await waitExit(node, id)).toBe(7);
});

test("dying at start.running: it is found running, with its address", async () => {
  const { id } = await node.supervisor.create({ spec: node.spec(["sleep", "1000"], {}, { networkMode: "bridge" }) });
  await node.dieAt("start.running", () => node.supervisor.start({ container: id }));
  const [container] = await list();
  expect(container).toMatchObject({ state: { status: ContainerStatus.RUNNING } });
  expect(container?.endpoints[0]?.ipAddress).toMatch(/^172\.17\.0\./);
  expect(await node.supervisor.statPath({ container: id, path: "/proc/1" })).toMatchObject({ stat: { name: "1" } });
  await node.supervisor.stop({ container: id, timeout: 0 });
  expect(await waitExit(node, id)).toBe(137);
});

test("dying at start.running: it has ended meanwhile, and its exit code is known", async () => {
  const { id } = await node.supervisor.create({ spec: node.spec(["sh", "-c", "exit 6"]) });
  await node.dieAt("start.running", () => node.supervisor.start({ container: id }));
  expect(await waitExit(node, id)).toBe(6);
  expect((await list())[0]).toMatchObject({ state: { status: ContainerStatus.EXITED, exitCode: 6 } });
});

test("dying at exit.recorded: the exit stays, and --rm is finished", async () => {
  const { id } = await node.supervisor.create({ spec: node.spec(["sh", "-c", "exit 8"]) });
  await node.dieAt("exit.recorded", () => node.supervisor.start({ container: id }));
  expect((await list())[0]).toMatchObject({ state: { status: ContainerStatus.EXITED, exitCode: 8 } });
  await node.supervisor.remove({ container: id });
  const auto = await node.supervisor.create({ spec: node.spec(["true"], {}, { autoRemove: true }) });
  await node.dieAt("exit.recorded", () => node.supervisor.start({ container: auto.id }));
  expect((await failure(node.supervisor.inspect({ container: auto.id }))).reason).toBe("NO_SUCH_CONTAINER");
});

test("dying at remove.recorded: the rest is swept, the name is free", async () => {
  const { id } = await node.supervisor.create({ name: "swept", spec: node.spec(["true"]) });
  await node.dieAt("remove.recorded", () => node.supervisor.remove({ container: id }));
  expect(await list()).toEqual([]);
  expect(await leftovers()).toMatchObject({ containers: [], bundles: [], sockets: [] });
  await eventually("the name is free", () => node.supervisor.create({ name: "swept", spec: node.spec(["true"]) }));
});

test("dying at commit.frozen: the container runs on", async () => {
  const { id } = await node.supervisor.create({ spec: node.spec(["sleep", "1000"]) });
  await node.supervisor.start({ container: id });
  await node.dieAt("commit.frozen", () => node.supervisor.commit({ container: id, pause: true }));
  expect((await list())[0]).toMatchObject({ state: { status: ContainerStatus.RUNNING } });
  expect((await execToEnd(node, id, { cmd: ["echo", "thawed"] })).out).toBe("thawed\n");
});

test("a container that a user has paused stays so", async () => {
  const { id } = await node.supervisor.create({ spec: node.spec(["sleep", "1000"]) });
  await node.supervisor.start({ container: id });
  await node.supervisor.pause({ container: id });
  await node.dieAt("commit.frozen", () => node.supervisor.commit({ container: id, pause: true }));
  expect((await list())[0]).toMatchObject({ state: { status: ContainerStatus.PAUSED } });
});

test("killed while containers run: one goes on, one ends, one is killed with its monitor; every log is whole", async () => {
  const count = 20_000;
  const counting = await node.supervisor.create({
    spec: node.spec(["sh", "-c", `seq 1 ${count}; sleep 1; seq 1 ${count}; sleep 1000`]),
  });
  const ending = await node.supervisor.create({ spec: node.spec(["sh", "-c", "sleep 0.5; exit 12"]) });
  const doomed = await node.supervisor.create({ spec: node.spec(["sleep", "1000"]) });
  const unwilling = await node.supervisor.create({
    spec: node.spec(["sh", "-c", "sleep 0.5; exit 1"], {}, { restartPolicy: { name: "always" } }),
  });
  for (const { id } of [counting, ending, doomed, unwilling]) await node.supervisor.start({ container: id });
  const { container } = await node.supervisor.inspect({ container: doomed.id });
  const exec = await node.supervisor.createExec({ container: counting.id, cmd: ["sleep", "1000"] });
  for await (const _ of node.supervisor.startExec(detached(exec.id)));
  const brief = await node.supervisor.createExec({ container: counting.id, cmd: ["sh", "-c", "sleep 0.6; exit 5"] });
  for await (const _ of node.supervisor.startExec(detached(brief.id)));
  const lost = await node.supervisor.createExec({ container: doomed.id, cmd: ["sleep", "1000"] });
  for await (const _ of node.supervisor.startExec(detached(lost.id)));
  await node.end("supervisor", "SIGKILL");
  const monitor = await parentOf(container?.state?.pid ?? 0);
  process.kill(monitor, "SIGKILL");
  await new Promise((done) => setTimeout(done, 1200));
  node.startService("supervisor");
  await node.serving();
  const state = async (id: string) => (await node.supervisor.inspect({ container: id })).container?.state;
  expect(await state(counting.id)).toMatchObject({ status: ContainerStatus.RUNNING });
  expect(await state(ending.id)).toMatchObject({ status: ContainerStatus.EXITED, exitCode: 12 });
  expect(await state(doomed.id)).toMatchObject({ status: ContainerStatus.EXITED, exitCode: 137 });
  expect(await readdir("/sys/fs/cgroup/memory/berth")).not.toContain(doomed.id);
  expect(await node.supervisor.inspectExec({ exec: exec.id })).toMatchObject({ running: true });
  expect(await node.supervisor.inspectExec({ exec: brief.id })).toMatchObject({ running: false, exitCode: 5 });
  expect(await node.supervisor.inspectExec({ exec: lost.id })).toMatchObject({ running: false, exitCode: 137 });
  await eventually("the restart policy is obeyed", async () => {
    const found = (await node.supervisor.inspect({ container: unwilling.id })).container;
    if ((found?.restartCount ?? 0) < 1) throw new Error("not yet");
    return true;
  });
  const lines = Array.from({ length: count }, (_, i) => `${i + 1}\n`).join("");
  await eventually("the log is whole", async () => {
    const text = unframe(
      Buffer.from(await textOf(node.supervisor.logs({ container: counting.id, stdout: true })), "utf8"),
    );
    if (text !== lines + lines) throw new Error(`${text.length} of ${2 * lines.length} bytes`);
    return true;
  });
  await node.supervisor.remove({ container: doomed.id });
});

async function* detached(exec: string) {
  yield { message: { $case: "start" as const, value: { exec, detach: true } } };
}

test("what no record names is swept at the start", async () => {
  await node.end("supervisor", "SIGTERM");
  const id = "f".repeat(64);
  await mkdir(join(node.stateDir, "containers", id), { recursive: true });
  await mkdir(join(node.runDir, "containers", id, "rootfs"), { recursive: true });
  await mkdir(`/sys/fs/cgroup/memory/berth/${id}`, { recursive: true });
  node.startService("supervisor");
  await node.serving();
  expect(await leftovers()).toEqual({ containers: [], bundles: [], sockets: [] });
  expect(await readdir("/sys/fs/cgroup/memory/berth").catch(() => [])).not.toContain(id);
});

test("volumes: gone with rm -v, kept without, also over a restart", async () => {
  const spec = node.spec(["sh", "-c", "echo data > /v/f"], { volumes: ["/v"] });
  const run = async (volumes: boolean) => {
    const { id } = await node.supervisor.create({ spec });
    await node.supervisor.start({ container: id });
    await waitExit(node, id);
    const { container } = await node.supervisor.inspect({ container: id });
    await node.supervisor.remove({ container: id, volumes });
    return container?.mounts[0]?.name ?? "";
  };
  const [gone, kept] = [await run(true), await run(false)];
  await node.end("supervisor", "SIGKILL");
  node.startService("supervisor");
  await node.serving();
  const left = await readdir(join(node.stateDir, "volumes"));
  expect(left).toContain(kept);
  expect(left).not.toContain(gone);
});

test("NATS away: what runs can be managed, a create says so in time", async () => {
  const { id } = await node.supervisor.create({ name: "offline", spec: node.spec(["sleep", "1000"]) });
  await node.supervisor.start({ container: id });
  process.kill(node.pidOf("nats"), "SIGSTOP");
  try {
    expect((await failure(node.supervisor.create({ name: "late", spec: node.spec(["true"]) }))).reason).toBe(
      "UNAVAILABLE",
    );
    await node.supervisor.stop({ container: id, timeout: 0 });
    expect(await waitExit(node, id)).toBe(137);
  } finally {
    process.kill(node.pidOf("nats"), "SIGCONT");
  }
  const again = await eventually("creates work again", () =>
    node.supervisor.create({ name: "late", spec: node.spec(["true"]) }),
  );
  expect(again.id).toMatch(/^[0-9a-f]{64}$/);
});
