import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const rest = join(import.meta.dirname, "../src/rest.ts");

/** Runs a program of its own, as a collection is of a whole process; gives what it prints as JSON. */
async function run(program: string, ...flags: string[]): Promise<Record<string, number>> {
  const source = `
    import { getHeapStatistics } from "node:v8";
    import { setTimeout as pause } from "node:timers/promises";
    import { restWhenIdle } from ${JSON.stringify(rest)};
    const heap = () => getHeapStatistics().total_heap_size;
    const garbage = () => { let list = []; for (let i = 0; i < 300_000; i++) list.push({ i, text: "x" + i }); };
    /** Resolves when the heap has become smaller than it is now, or after ms. */
    const shrinks = async (ms) => {
      const before = heap();
      for (const end = Date.now() + ms; Date.now() < end; await pause(10)) if (heap() < before * 0.7) return 1;
      return 0;
    };
    ${program}`;
  const args = [...flags, "--input-type=module", "-e", source];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
  return JSON.parse(stdout) as Record<string, number>;
}

describe("a service at rest", () => {
  it("gives back what its last burst took, burst after burst", async () => {
    const { first, second } = await run(
      `garbage(); const stop = restWhenIdle(40); const first = await shrinks(10_000);
       garbage(); const second = await shrinks(10_000); stop();
       console.log(JSON.stringify({ first, second }));`,
      "--expose-gc",
    );
    expect([first, second]).toEqual([1, 1]);
  });

  it("does not collect while it is busy, nor for a little, nor when it is stopped", async () => {
    const { busy, idle, stopped } = await run(
      `let collections = 0; const gc = globalThis.gc; globalThis.gc = (how) => { collections++; gc(how); };
       const stop = restWhenIdle(20); await pause(200);
       let grown = [];
       const work = async (ms, share) => {
         for (const end = Date.now() + ms; Date.now() < end; await pause(1)) {
           for (const until = performance.now() + share; performance.now() < until;) grown = new Array(100_000).fill(0);
         }
       };
       collections = 0; await work(400, 10); const busy = collections;
       await pause(200); collections = 0; await pause(200); const idle = collections;
       stop(); garbage(); collections = 0; await pause(200);
       console.log(JSON.stringify({ busy, idle, stopped: collections }));`,
      "--expose-gc",
    );
    expect({ busy, idle, stopped }).toEqual({ busy: 0, idle: 0, stopped: 0 });
  });

  it("goes without where V8 offers no collection", async () => {
    expect(await run("restWhenIdle(1)(); console.log(JSON.stringify({ alive: 1 }));")).toEqual({ alive: 1 });
  });
});
