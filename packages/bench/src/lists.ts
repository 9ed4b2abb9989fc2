// Cases about many containers at once, and about hearing of them.
import { request } from "node:http";
import { createInterface } from "node:readline";
import type { Case } from "./cases.ts";
import { BUSYBOX, type Engine } from "./engines.ts";

const LISTED = 200;
const label = "bench.list";

/** Half of them run: what runs has more to tell. */
async function makeListed(engine: Engine): Promise<void> {
  for (let i = 0; i < LISTED; i += 20) {
    await Promise.all(
      Array.from({ length: 20 }, async (_, at) => {
        const { Id } = await engine.api.must<{ Id: string }>("POST", "/v1.44/containers/create", {
          Image: BUSYBOX,
          Cmd: ["sleep", "10000"],
          Labels: { [label]: "1" },
          HostConfig: { NetworkMode: "none" },
        });
        if (at % 2 === 0) await engine.api.must("POST", `/v1.44/containers/${Id}/start`);
      }),
    );
  }
}

async function removeListed(engine: Engine): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
  const found = await engine.api.must<{ Id: string }[]>("GET", `/v1.44/containers/json?all=1&filters=${filters}`);
  for (let i = 0; i < found.length; i += 20) {
    await Promise.all(
      found.slice(i, i + 20).map(({ Id }) => engine.api.must("DELETE", `/v1.44/containers/${Id}?force=1`)),
    );
  }
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** ms from the answer to a create until a client that follows events has heard of it. */
async function eventLatency(engine: Engine): Promise<number> {
  const leaving = new AbortController();
  const answer = await new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
    const call = request({ socketPath: engine.socket, path: "/v1.44/events", signal: leaving.signal }, resolve);
    call.on("error", (error) => leaving.signal.aborted || reject(error));
    call.end();
  });
  answer.on("error", () => {});
  const heard = new Map<string, number>();
  const lines = createInterface({ input: answer });
  const wake: (() => void)[] = [];
  lines.on("line", (line) => {
    const { Action, Actor } = JSON.parse(line) as { Action: string; Actor: { ID: string } };
    if (Action === "create") heard.set(Actor.ID, performance.now());
    for (const resolve of wake.splice(0)) resolve();
  });
  try {
    const body = { Image: BUSYBOX, Cmd: ["true"], HostConfig: { NetworkMode: "none" } };
    const { Id } = await engine.api.must<{ Id: string }>("POST", "/v1.44/containers/create", body);
    const told = performance.now();
    while (!heard.has(Id)) await new Promise<void>((resolve) => wake.push(resolve));
    await engine.api.must("DELETE", `/v1.44/containers/${Id}`);
    // Heard of before the answer was there: nothing was waited for, but no ratio can be made of nothing.
    return Math.max(0.1, (heard.get(Id) as number) - told);
  } finally {
    leaving.abort();
    lines.close();
  }
}

export const LIST_CASES: readonly Case[] = [
  {
    name: `ps -a with ${LISTED} containers`,
    unit: "ms",
    rounds: 9,
    wanted: 1,
    before: makeListed,
    measure: (engine) => timeOf(() => engine.docker.must(["ps", "-a"])),
    after: removeListed,
  },
  {
    name: `API list of ${LISTED} containers`,
    unit: "ms",
    rounds: 15,
    wanted: 1,
    before: makeListed,
    measure: (engine) => timeOf(() => engine.api.must("GET", "/v1.44/containers/json?all=1")),
    after: removeListed,
  },
  // Docker tells from memory what is lost with it; here an event is on the disk before anybody hears of it.
  { name: "event of a create, after its answer", unit: "ms", rounds: 15, wanted: 60, measure: eventLatency },
];
