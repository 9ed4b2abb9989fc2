// The life of containers against the real monitor, snapshotter and NATS.

import { ContainerStatus } from "@berth/api/containers";
import { eventually, standing } from "@berth/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { execToEnd, failure, Node, runToEnd, waitExit } from "./harness.ts";

let node: Node;
let made: string[] = [];
beforeAll(async () => {
  node = await Node.open();
});
afterAll(async () => {
  made = (await node.supervisor.list({ all: true })).containers.map(({ id }) => id);
  await node.close();
  const left = await standing(node.work);
  // Other tests of this machine may have groups of their own.
  const ours = left.cgroups.filter((path) => made.some((id) => path.includes(id)));
  expect([...left.mounts, ...left.processes, ...ours]).toEqual([]);
});

const statusOf = async (id: string) => (await node.supervisor.inspect({ container: id })).container?.state;

test("output, exit codes and logs", async () => {
  expect(await runToEnd(node, ["sh", "-c", "echo out; echo err >&2; exit 3"])).toEqual({
    out: "out\n",
    err: "err\n",
    exitCode: 3,
  });
  expect((await runToEnd(node, ["sh", "-c", "sleep 0.1 & kill -9 $!; wait $!"])).exitCode).toBe(137);
});

test("a program that can't be run says so in Docker's words and leaves nothing", async () => {
  const prefix =
    "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: ";
  const cases: [string, string, number][] = [
    ["nope", 'exec: "nope": executable file not found in $PATH', 127],
    ["/nope/x", 'exec: "/nope/x": stat /nope/x: no such file or directory', 127],
    ["/etc/passwd", 'exec: "/etc/passwd": permission denied', 126],
    ["/etc", 'exec: "/etc": is a directory: permission denied', 126],
  ];
  for (const [program, text, code] of cases) {
    const { id } = await node.supervisor.create({ spec: node.spec([program]) });
    expect(await failure(node.supervisor.start({ container: id }))).toEqual({
      reason: "START_FAILED",
      message: prefix + text,
    });
    expect(await statusOf(id)).toMatchObject({ status: ContainerStatus.CREATED, exitCode: code, error: prefix + text });
    await node.supervisor.remove({ container: id });
  }
});

test("stop sends the stop signal, then kills", async () => {
  const polite = await node.supervisor.create({
    spec: node.spec(["sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done"]),
  });
  await node.supervisor.start({ container: polite.id });
  await eventually("the trap is set", async () => true);
  await new Promise((done) => setTimeout(done, 200));
  await node.supervisor.stop({ container: polite.id });
  expect(await statusOf(polite.id)).toMatchObject({ status: ContainerStatus.EXITED, exitCode: 5 });
  expect((await failure(node.supervisor.stop({ container: polite.id }))).reason).toBe("NOT_MODIFIED");
  const deaf = await node.supervisor.create({ spec: node.spec(["sleep", "1000"]) });
  await node.supervisor.start({ container: deaf.id });
  await node.supervisor.stop({ container: deaf.id, timeout: 0 });
  expect(await statusOf(deaf.id)).toMatchObject({ exitCode: 137 });
  // A second life.
  await node.supervisor.start({ container: deaf.id });
  expect((await failure(node.supervisor.start({ container: deaf.id }))).reason).toBe("NOT_MODIFIED");
  expect(await failure(node.supervisor.remove({ container: deaf.id }))).toMatchObject({
    message: `cannot remove container "${deaf.id}": container is running: stop the container before removing or force remove`,
  });
  await node.supervisor.restart({ container: deaf.id, timeout: 0 });
  expect(await statusOf(deaf.id)).toMatchObject({ status: ContainerStatus.RUNNING });
  await node.supervisor.kill({ container: deaf.id, signal: "" });
  expect(await statusOf(deaf.id)).toMatchObject({ status: ContainerStatus.EXITED, exitCode: 137 });
  for (const { id } of [polite, deaf]) await node.supervisor.remove({ container: id });
});

test("names are unique, given back, and changeable", async () => {
  const { id } = await node.supervisor.create({ name: "one", spec: node.spec(["true"]) });
  expect(await failure(node.supervisor.create({ name: "one", spec: node.spec(["true"]) }))).toEqual({
    reason: "NAME_IN_USE",
    message: `Conflict. The container name "/one" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
  });
  await node.supervisor.rename({ container: "one", name: "two" });
  expect((await node.supervisor.inspect({ container: "/two" })).container?.id).toBe(id);
  expect((await node.supervisor.inspect({ container: id.slice(0, 10) })).container?.name).toBe("two");
  const again = await node.supervisor.create({ name: "one", spec: node.spec(["true"]) });
  await node.supervisor.remove({ container: "two" });
  await node.supervisor.remove({ container: "one" });
  const { id: third } = await node.supervisor.create({ name: "two", spec: node.spec(["true"]) });
  await node.supervisor.remove({ container: third });
  expect(await failure(node.supervisor.inspect({ container: again.id }))).toMatchObject({
    reason: "NO_SUCH_CONTAINER",
    message: `No such container: ${again.id}`,
  });
});

test("an idempotency key gives one container", async () => {
  const request = { spec: node.spec(["true"]), idempotencyKey: "key-1" };
  const [a, b] = await Promise.all([node.supervisor.create(request), node.supervisor.create(request)]);
  const c = await node.supervisor.create(request);
  expect(b.id).toBe(a.id);
  expect(c.id).toBe(a.id);
  await node.supervisor.remove({ container: a.id });
});

test("an idempotency key with another request is a conflict, and not one without a digest", async () => {
  const request = { spec: node.spec(["true"]), idempotencyKey: "key-2", requestDigest: "a" };
  const { id } = await node.supervisor.create(request);
  expect((await node.supervisor.create(request)).id).toBe(id);
  await expect(node.supervisor.create({ ...request, requestDigest: "b" })).rejects.toMatchObject({
    reason: "CONFLICT",
  });
  expect((await node.supervisor.create({ ...request, requestDigest: "" })).id).toBe(id);
  await node.supervisor.remove({ container: id });
  const { id: next } = await node.supervisor.create({ ...request, requestDigest: "b" });
  expect(next).not.toBe(id);
  await node.supervisor.remove({ container: next });
});

test("a container of --rm goes by itself, and waiting for it gives its exit code", async () => {
  const { id } = await node.supervisor.create({ spec: node.spec(["sh", "-c", "exit 9"], {}, { autoRemove: true }) });
  const wait = node.supervisor.wait({ container: id, condition: 3 })[Symbol.asyncIterator]();
  await wait.next();
  await node.supervisor.start({ container: id });
  expect((await wait.next()).value).toMatchObject({ exitCode: 9 });
  expect((await failure(node.supervisor.inspect({ container: id }))).reason).toBe("NO_SUCH_CONTAINER");
  const broken = await node.supervisor.create({ spec: node.spec(["nope"], {}, { autoRemove: true }) });
  const gone = node.supervisor.wait({ container: broken.id, condition: 3 })[Symbol.asyncIterator]();
  await gone.next();
  expect((await failure(node.supervisor.start({ container: broken.id }))).reason).toBe("START_FAILED");
  expect((await gone.next()).value).toMatchObject({ exitCode: 127 });
});

test("restart policies run it again, with a count, until it is stopped", async () => {
  const { id } = await node.supervisor.create({
    spec: node.spec(["sh", "-c", "exit 1"], {}, { restartPolicy: { name: "on-failure", maximumRetryCount: 2 } }),
  });
  await node.supervisor.start({ container: id });
  // As in Docker, a wait is over at the first exit.
  expect(await waitExit(node, id)).toBe(1);
  await eventually("it has been restarted twice and is given up", async () => {
    const { container } = await node.supervisor.inspect({ container: id });
    expect(container).toMatchObject({ restartCount: 2, state: { status: ContainerStatus.EXITED, exitCode: 1 } });
    return true;
  });
  await node.supervisor.remove({ container: id });
  const forever = await node.supervisor.create({
    spec: node.spec(["true"], {}, { restartPolicy: { name: "always" } }),
  });
  await node.supervisor.start({ container: forever.id });
  await eventually("it has been restarted twice", async () => {
    const found = await node.supervisor.inspect({ container: forever.id });
    if ((found.container?.restartCount ?? 0) < 2) throw new Error("not yet");
    return true;
  });
  await node.supervisor.stop({ container: forever.id, timeout: 1 }).catch(() => undefined);
  await new Promise((done) => setTimeout(done, 500));
  expect(await statusOf(forever.id)).toMatchObject({ status: ContainerStatus.EXITED });
  await node.supervisor.remove({ container: forever.id });
});

test("pause, unpause and their refusals", async () => {
  const { id } = await node.supervisor.create({ spec: node.spec(["sleep", "1000"]) });
  expect((await failure(node.supervisor.pause({ container: id }))).message).toBe(`container ${id} is not running`);
  await node.supervisor.start({ container: id });
  await node.supervisor.pause({ container: id });
  expect(await statusOf(id)).toMatchObject({ status: ContainerStatus.PAUSED });
  expect((await failure(node.supervisor.pause({ container: id }))).message).toBe(`Container ${id} is already paused`);
  expect((await failure(node.supervisor.start({ container: id }))).message).toBe(
    "cannot start a paused container, try unpause instead",
  );
  expect((await failure(node.supervisor.createExec({ container: id, cmd: ["true"] }))).reason).toBe("CONTAINER_PAUSED");
  await node.supervisor.unpause({ container: id });
  await node.supervisor.pause({ container: id });
  await node.supervisor.remove({ container: id, force: true });
});

test("exec: streams, exit codes, user, environment, directory, refusals", async () => {
  const { id } = await node.supervisor.create({ spec: node.spec(["sleep", "1000"], { env: ["A=1"] }) });
  await node.supervisor.start({ container: id });
  expect(
    await execToEnd(node, id, {
      cmd: ["sh", "-c", "echo $A$B; id -u; pwd; echo e >&2; exit 4"],
      env: ["B=2"],
      user: "1000",
      workingDir: "/tmp",
    }),
  ).toMatchObject({
    out: "12\n1000\n/tmp\n",
    err: "e\n",
    exitCode: 4,
  });
  expect(await execToEnd(node, id, { cmd: ["cat"], stdin: "over the wire" })).toMatchObject({
    out: "over the wire",
    exitCode: 0,
  });
  expect((await execToEnd(node, id, { cmd: ["sh", "-c", "tty; echo $TERM"], tty: true })).out).toMatch(
    /\/dev\/pts\/\d+\r\nxterm\r\n/,
  );
  expect(await failure(execToEnd(node, id, { cmd: ["nope"] }))).toEqual({
    reason: "START_FAILED",
    message:
      'OCI runtime exec failed: exec failed: unable to start container process: exec: "nope": executable file not found in $PATH',
  });
  expect((await failure(node.supervisor.createExec({ container: id, cmd: [] }))).message).toBe(
    "No exec command specified",
  );
  const done = await execToEnd(node, id, { cmd: ["true"] });
  expect((await failure(startDetached(done.id))).message).toBe(`exec command ${done.id} has already run`);
  expect((await failure(node.supervisor.inspectExec({ exec: "nope" }))).message).toBe("No such exec instance: nope");
  await node.supervisor.remove({ container: id, force: true });
});

async function startDetached(exec: string): Promise<void> {
  async function* requests() {
    yield { message: { $case: "start" as const, value: { exec, detach: true } } };
  }
  for await (const _ of node.supervisor.startExec(requests())) {
    // Only the answer that it runs.
  }
}

test("top, stats, update, list", async () => {
  const { id } = await node.supervisor.create({
    name: "seen",
    spec: node.spec(["sleep", "1000"], { labels: { a: "b" } }, { resources: { memory: 64 << 20 } }),
  });
  await node.supervisor.start({ container: id });
  const table = await node.supervisor.top({ container: id });
  expect(table.titles).toEqual(["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
  expect(table.processes.map(({ columns }) => columns.at(-1))).toEqual(["sleep 1000"]);
  for await (const stats of node.supervisor.stats({ container: id })) {
    expect(stats.memoryLimit).toBe(64 << 20);
    expect(stats.pidsCurrent).toBe(1);
    expect(stats.systemCpuUsage).toBeGreaterThan(stats.cpuUsage);
  }
  await node.supervisor.update({ container: id, resources: { memory: 96 << 20, memorySwap: 192 << 20 } });
  for await (const stats of node.supervisor.stats({ container: id })) expect(stats.memoryLimit).toBe(96 << 20);
  const list = async (filters: Record<string, { values: string[] }>, all = false) =>
    (await node.supervisor.list({ filters, all })).containers.map(({ name }) => name);
  expect(await list({ label: { values: ["a=b"] } })).toEqual(["seen"]);
  expect(await list({ label: { values: ["a=c"] } })).toEqual([]);
  expect(await list({ name: { values: ["^/se"] } })).toEqual(["seen"]);
  expect(await list({ status: { values: ["exited"] } })).toEqual([]);
  expect((await failure(list({ foo: { values: ["x"] } }))).message).toBe("invalid filter 'foo'");
  await node.supervisor.remove({ container: id, force: true });
});
