// Two calls on one container that meet: whichever way they do, the outcome is one that a user can have meant.
import { readdir, readlink } from "node:fs/promises";
import { ContainerStatus } from "@berth/api/containers";
import { eventually } from "@berth/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { execToEnd, failure, Node, waitExit } from "./harness.ts";

let node: Node;
beforeAll(async () => {
  node = await Node.open();
});
afterAll(() => node.close());

const sleeper = () => node.spec(["sleep", "1000"], { stopTimeout: 0 });
const statusOf = async (id: string) => (await node.supervisor.inspect({ container: id })).container?.state?.status;

test("a stop that comes while the container starts stops it", async () => {
  const { supervisor } = node;
  const { id } = await supervisor.create({ spec: sleeper() });
  await Promise.all([supervisor.start({ container: id }), supervisor.stop({ container: id })]);
  expect(await statusOf(id)).toBe(ContainerStatus.EXITED);
  await supervisor.remove({ container: id });
});

test("a forced removal that comes while the container starts removes it", async () => {
  const { supervisor } = node;
  const { id } = await supervisor.create({ spec: sleeper() });
  await Promise.all([supervisor.start({ container: id }), supervisor.remove({ container: id, force: true })]);
  expect((await failure(supervisor.inspect({ container: id }))).reason).toBe("NO_SUCH_CONTAINER");
});

test("a stop goes on to its end when the caller goes away", async () => {
  const { supervisor } = node;
  const { id } = await supervisor.create({ spec: node.spec(["sleep", "1000"], { stopTimeout: 1 }) });
  await supervisor.start({ container: id });
  const caller = new AbortController();
  const stopping = failure(supervisor.stop({ container: id }, { signal: caller.signal }));
  // The signal has been sent once the event says so; the first process of a namespace ignores it.
  await supervisor.inspect({ container: id });
  caller.abort();
  await stopping;
  expect(await waitExit(node, id)).toBe(137);
  await supervisor.remove({ container: id });
});

test("a link that is taken away while its container is removed does not bring the container back", async () => {
  const { supervisor } = node;
  const bridge = { networkMode: "bridge" };
  const child = await supervisor.create({ name: "child", spec: node.spec(["true"], {}, bridge) });
  const parent = await supervisor.create({
    name: "parent",
    spec: node.spec(["true"], {}, { ...bridge, links: ["child:db"] }),
  });
  const calls = await Promise.allSettled([
    supervisor.remove({ container: parent.id }),
    supervisor.remove({ container: "parent/db", link: true }),
  ]);
  expect(calls[0].status).toBe("fulfilled");
  await node.end("supervisor", "SIGTERM");
  node.startService("supervisor");
  await node.serving();
  expect((await supervisor.list({ all: true })).containers.map(({ id }) => id)).toEqual([child.id]);
  await supervisor.remove({ container: child.id });
});

test("a create that is repeated with its key does not fail with the client who began it", async () => {
  const { supervisor } = node;
  const request = { name: "keyed", spec: sleeper(), idempotencyKey: "once" };
  const first = new AbortController();
  process.kill(node.pidOf("snapshotter"), "SIGSTOP");
  const begun = failure(supervisor.create(request, { signal: first.signal }));
  const repeated = supervisor.create(request);
  repeated.catch(() => undefined);
  // Both are known to the supervisor, in their order, when it answers a later call.
  await supervisor.nodeInfo({});
  first.abort();
  expect((await begun).reason).toBe("CANCELLED");
  await supervisor.nodeInfo({});
  process.kill(node.pidOf("snapshotter"), "SIGCONT");
  const { id } = await repeated;
  const { containers } = await supervisor.list({ all: true });
  expect(containers).toMatchObject([{ id, name: "keyed" }]);
  await eventually("it starts", () => supervisor.start({ container: id }));
  await supervisor.remove({ container: id, force: true });
});

/** Open sockets of the supervisor's process. */
async function sockets(): Promise<number> {
  const directory = `/proc/${node.pidOf("supervisor")}/fd`;
  const links = (await readdir(directory)).map((fd) => readlink(`${directory}/${fd}`).catch(() => ""));
  return (await Promise.all(links)).filter((link) => link.startsWith("socket:")).length;
}

test("whoever attaches and leaves before the start costs nothing", async () => {
  const { supervisor } = node;
  const { id } = await supervisor.create({ spec: sleeper() });
  const attach = async () => {
    const client = new AbortController();
    const value = { container: id, stdin: false, stdout: true, stderr: true };
    const requests = async function* () {
      yield { message: { $case: "start" as const, value } };
      await new Promise((leave) => client.signal.addEventListener("abort", leave));
    };
    const answers = supervisor.attach(requests(), { signal: client.signal })[Symbol.asyncIterator]();
    await answers.next();
    const left = failure(answers.next());
    client.abort();
    await left;
  };
  // The first makes the container's own socket.
  await attach();
  const before = await eventually("a steady number", sockets);
  for (let i = 0; i < 20; i++) await attach();
  await eventually("they are closed", async () => {
    const now = await sockets();
    if (now > before + 2) throw new Error(`${now} sockets, ${before} before`);
    return true;
  });
  await supervisor.remove({ container: id });
});

test("an exec's command may be longer than an event may be", async () => {
  const { supervisor } = node;
  const { id } = await supervisor.create({ spec: sleeper() });
  await supervisor.start({ container: id });
  const long = Array.from({ length: 3 }, () => "x".repeat(100_000));
  const { out, exitCode } = await execToEnd(node, id, { cmd: ["sh", "-c", "echo $#; exit 3", "sh", ...long] });
  expect([out, exitCode]).toEqual(["3\n", 3]);
  await supervisor.remove({ container: id, force: true });
});
