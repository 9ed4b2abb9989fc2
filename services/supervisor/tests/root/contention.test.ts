// Many clients want different things of the same containers at once: nothing wedges, every refusal is one that Docker has.
import { ContainerStatus } from "@berth/api/containers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Node } from "./harness.ts";

let node: Node;

beforeAll(async () => {
  node = await Node.open();
}, 120_000);

afterAll(async () => {
  await node?.close();
}, 60_000);

/** What may be said to a client that came at the wrong moment. */
const expected = new Set([
  "NOT_MODIFIED",
  "NO_SUCH_CONTAINER",
  "CONFLICT",
  "CONTAINER_RUNNING",
  "CONTAINER_NOT_RUNNING",
  "CONTAINER_PAUSED",
]);

const clients = 6;
const steps = 12;
const timeoutMs = 60_000;

/** A generator of its own, so that a failure can be had again with its seed. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test.each([1, 2])(
  "start, stop, kill, restart, pause, exec, rename, update and rm of two containers at once (seed %d)",
  async (seed) => {
    const { supervisor } = node;
    const names = [`busy-${seed}-a`, `busy-${seed}-b`];
    const pick = random(seed);
    const refused: string[] = [];
    const make = async (name: string) => {
      await supervisor.create({ name, spec: node.spec(["sleep", "1000"], { stopTimeout: 0 }) }, { timeoutMs });
    };
    for (const name of names) await make(name);
    const actions: ((container: string) => Promise<unknown>)[] = [
      (container) => supervisor.start({ container }, { timeoutMs }),
      (container) => supervisor.start({ container }, { timeoutMs }),
      (container) => supervisor.stop({ container, timeout: 0 }, { timeoutMs }),
      (container) => supervisor.kill({ container }, { timeoutMs }),
      (container) => supervisor.restart({ container, timeout: 0 }, { timeoutMs }),
      (container) => supervisor.pause({ container }, { timeoutMs }),
      (container) => supervisor.unpause({ container }, { timeoutMs }),
      (container) => supervisor.createExec({ container, cmd: ["true"] }, { timeoutMs }),
      (container) => supervisor.inspect({ container }, { timeoutMs }),
      (container) => supervisor.top({ container, psArgs: "-ef" }, { timeoutMs }),
      (container) => supervisor.update({ container, resources: { cpuShares: 512 } }, { timeoutMs }),
      (container) => supervisor.remove({ container, force: true }, { timeoutMs }).then(() => make(container)),
    ];
    const client = async () => {
      for (let step = 0; step < steps; step++) {
        const action = actions[pick(actions.length)];
        await action?.(names[pick(names.length)] ?? "").catch((error: { reason?: string; message: string }) => {
          // Unpausing what is not paused is a 500 of Docker's; a name may be taken by the client who made it first.
          if (expected.has(error.reason ?? "") || error.reason === "NAME_IN_USE") return;
          if (/is not paused$/.test(error.message)) return;
          refused.push(`${error.reason}: ${error.message}`);
        });
      }
    };
    await Promise.all(Array.from({ length: clients }, client));
    expect(refused).toEqual([]);
    for (const container of names) {
      await supervisor.remove({ container, force: true }, { timeoutMs }).catch((error: { reason?: string }) => {
        if (error.reason !== "NO_SUCH_CONTAINER") throw error;
      });
    }
    const { containers } = await supervisor.list({ all: true });
    expect(containers.map(({ name }) => name)).toEqual([]);
  },
  120_000,
);

test("stops, kills and waits of many clients all come to an end with one container's", async () => {
  const { supervisor } = node;
  const { id: container } = await supervisor.create({ spec: node.spec(["sleep", "1000"], { stopTimeout: 1 }) });
  await supervisor.start({ container });
  const wait = async () => {
    let exitCode: number | undefined;
    for await (const answer of supervisor.wait({ container }, { timeoutMs })) exitCode = answer.exitCode ?? exitCode;
    return exitCode;
  };
  const quietly = (call: Promise<unknown>) =>
    call.catch((error: { reason: string }) =>
      expect(["NOT_MODIFIED", "CONTAINER_NOT_RUNNING"]).toContain(error.reason),
    );
  const [codes] = await Promise.all([
    Promise.all(Array.from({ length: 4 }, wait)),
    ...Array.from({ length: 4 }, () => quietly(supervisor.stop({ container }, { timeoutMs }))),
    ...Array.from({ length: 4 }, () => quietly(supervisor.kill({ container, signal: "TERM" }, { timeoutMs }))),
  ]);
  expect(codes).toEqual([137, 137, 137, 137]);
  const { container: found } = await supervisor.inspect({ container });
  expect(found?.state?.status).toBe(ContainerStatus.EXITED);
  await supervisor.remove({ container });
}, 60_000);
