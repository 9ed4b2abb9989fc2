// Health checks against real containers: what they find, that they go on without us, that they leave nothing behind.
import { type Container, ContainerStatus } from "@berth/api/containers";
import { eventually } from "@berth/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Node, textOf } from "./harness.ts";

let node: Node;

beforeAll(async () => {
  node = await Node.open();
}, 120_000);

afterAll(async () => {
  await node?.close();
}, 60_000);

const ms = 1_000_000;
const check = (command: string, change: object = {}) => ({
  test: ["CMD-SHELL", command],
  interval: 100 * ms,
  timeout: 5_000 * ms,
  startPeriod: 0,
  startInterval: 0,
  retries: 2,
  ...change,
});

async function run(healthcheck: object, config: object = {}, cmd = ["sleep", "1000"]): Promise<string> {
  const { id } = await node.supervisor.create({ spec: node.spec(cmd, { healthcheck, ...config }) });
  await node.supervisor.start({ container: id });
  return id;
}

async function inspect(container: string): Promise<Container> {
  const { container: found } = await node.supervisor.inspect({ container });
  if (!found) throw new Error("no container");
  return found;
}

const becomes = (container: string, status: string) =>
  eventually(`${container} is ${status}`, async () => {
    const { state } = await inspect(container);
    return state?.health?.status === status ? state : undefined;
  });

async function commands(container: string): Promise<string[]> {
  const { processes } = await node.supervisor.top({ container, psArgs: "-o pid,args" });
  return processes.map(({ columns }) => columns[1] ?? "").sort();
}

const remove = (container: string) => node.supervisor.remove({ container, force: true });

test("healthy, then unhealthy when it fails often enough, with what the probe printed", async () => {
  const id = await run(check("cat /well; echo told >&2"), {}, ["sh", "-c", "echo fine > /well; sleep 1000"]);
  expect((await inspect(id)).state?.health?.status).toMatch(/starting|healthy/);
  const { health } = await becomes(id, "healthy");
  expect(health).toMatchObject({ failingStreak: 0 });
  expect(health?.log.at(-1)).toMatchObject({ exitCode: 0, output: expect.stringMatching(/fine/) });
  expect(health?.log.at(-1)?.output).toContain("told\n");
  const { containers } = await node.supervisor.list({ filters: { health: { values: ["healthy"] } } });
  expect(containers.map((found) => found.id)).toContain(id);
  await remove(id);
  const missing = await run(check("cat /nowhere"));
  const state = await becomes(missing, "unhealthy");
  expect(state.health?.failingStreak).toBeGreaterThanOrEqual(2);
  expect(state.health?.log.at(-1)).toMatchObject({ exitCode: 1, output: expect.stringContaining("nowhere") });
  await eventually(
    "five results are kept",
    async () => (await inspect(missing)).state?.health?.log.length === 5 || undefined,
  );
  await remove(missing);
});

test("a probe that takes too long is ended with all that it has started", async () => {
  const id = await run(check("echo begun; sleep 501 & sleep 502 | sleep 503", { timeout: 300 * ms }));
  const { health } = await becomes(id, "unhealthy");
  expect(health?.log.at(-1)).toMatchObject({ exitCode: -1, output: "Health check exceeded timeout (300ms): begun\n" });
  await node.supervisor.pause({ container: id });
  await node.supervisor.unpause({ container: id });
  await node.supervisor.pause({ container: id });
  await eventually("nothing of the probes runs", async () => {
    const left = (await commands(id)).filter((line) => /50[123]/.test(line));
    return left.length === 0 || undefined;
  });
  await remove(id);
});

test("a paused container is not probed, and goes on being probed afterwards", async () => {
  const id = await run(check("true"));
  await becomes(id, "healthy");
  await node.supervisor.pause({ container: id });
  const before = (await inspect(id)).state?.health;
  // As Docker has it: what is not checked counts as unhealthy.
  expect(before?.status).toBe("unhealthy");
  await new Promise((done) => setTimeout(done, 500));
  expect((await inspect(id)).state?.health?.log).toEqual(before?.log);
  await node.supervisor.unpause({ container: id });
  await becomes(id, "healthy");
  await remove(id);
});

test("a program that is not there is a failed probe; NONE is no check", async () => {
  const id = await run({ ...check(""), test: ["CMD", "nonexist"] });
  const { health } = await becomes(id, "unhealthy");
  expect(health?.log.at(-1)).toMatchObject({
    exitCode: -1,
    output: expect.stringMatching(/^OCI runtime exec failed: .*"nonexist": executable file not found in \$PATH$/),
  });
  await remove(id);
  const none = await run({ ...check(""), test: ["NONE"] });
  expect((await inspect(none)).state?.health).toBeUndefined();
  await remove(none);
});

test("probes go on under a supervisor started anew, and the one under way is ended", async () => {
  const id = await run(check("test ! -f /wait || sleep 777", { timeout: 60_000 * ms }));
  await becomes(id, "healthy");
  const { id: exec } = await node.supervisor.createExec({ container: id, cmd: ["sh", "-c", "echo > /wait"] });
  for await (const _ of node.supervisor.startExec(begin(exec))) break;
  await eventually("a probe waits", async () => (await commands(id)).includes("sleep 777") || undefined);
  await node.end("supervisor");
  node.startService("supervisor");
  await node.serving();
  const { state, execIds } = await inspect(id);
  expect(state?.health?.status).toBe("healthy");
  expect(execIds.length).toBeLessThanOrEqual(1);
  // The old one has gone, and one of the new supervisor's has come.
  await eventually(
    "one probe waits",
    async () => (await commands(id)).filter((line) => line === "sleep 777").length === 1 || undefined,
  );
  await remove(id);
});

async function* begin(exec: string) {
  yield { message: { $case: "start" as const, value: { exec, detach: true } } };
}

test("an unhealthy container is started anew when its label asks for it, and a user's stop wins", async () => {
  const command = "trap 'exit 0' TERM; while :; do sleep 0.05; done";
  const id = await run(check("false"), { labels: { "berth.restart-unhealthy": "true" } }, ["sh", "-c", command]);
  const first = (await inspect(id)).state?.pid;
  await eventually("it was restarted", async () => {
    const { restartCount, state } = await inspect(id);
    return (restartCount > 0 && state?.pid !== 0 && state?.pid !== first) || undefined;
  });
  await node.supervisor.stop({ container: id });
  const { state } = await inspect(id);
  expect(state?.status).toBe(ContainerStatus.EXITED);
  await new Promise((done) => setTimeout(done, 600));
  expect((await inspect(id)).state?.status).toBe(ContainerStatus.EXITED);
  await remove(id);
});

test("an init is the first process: it reaps, hands signals on and exits as its child did", async () => {
  const { id } = await node.supervisor.create({
    spec: node.spec(
      ["sh", "-c", "trap 'exit 5' USR1; (sleep 0.1 &); echo ready; while :; do sleep 0.05; done"],
      {},
      { init: true },
    ),
  });
  await node.supervisor.start({ container: id });
  await eventually("its trap is set", async () =>
    (await textOf(node.supervisor.logs({ container: id, stdout: true }))).includes("ready") ? true : undefined,
  );
  const lines = await eventually("the orphan has gone", async () => {
    const found = await commands(id);
    return found.some((line) => line.includes("defunct") || line === "[sleep]") ? undefined : found;
  });
  expect(lines.some((line) => line.startsWith("/sbin/docker-init -- sh -c"))).toBe(true);
  await node.supervisor.kill({ container: id, signal: "USR1" });
  const code = await eventually("it has ended", async () => {
    const { state } = await inspect(id);
    return state?.status === ContainerStatus.EXITED ? state.exitCode : undefined;
  });
  expect(code).toBe(5);
  await remove(id);
});

test.each([
  [["sh", "-c", "kill -9 $$"], 137],
  [["nonexist"], 127],
  [["/etc"], 126],
  [["true"], 0],
])("%j below an init exits with %d", async (cmd, expected) => {
  const { id } = await node.supervisor.create({ spec: node.spec(cmd, {}, { init: true }) });
  await node.supervisor.start({ container: id });
  let exitCode: number | undefined;
  for await (const answer of node.supervisor.wait({ container: id })) exitCode = answer.exitCode ?? exitCode;
  expect(exitCode).toBe(expected);
  await remove(id);
});
