/** What the addon holds ends with whoever began it: a worker, a garbage-collected object, the process. */
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, expect, test } from "vitest";
import { diffLayer, LayerApply, pidfdOpen, pidfdWait, pipe, readReport } from "../../ts/index.ts";
import { native } from "../../ts/native.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "berth-lifetime-"));
  writeFileSync(join(directory, "big"), Buffer.alloc(8 << 20, 1));
});
afterAll(() => rmSync(directory, { recursive: true }));

const workerFile = join(import.meta.dirname, "../support/lifetime-worker.mjs");
const descriptors = () => readdirSync("/proc/self/fd").length;
const threads = () => Number(/^Threads:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);

async function live(how: "terminate" | "throw" | "exit"): Promise<void> {
  const worker = new Worker(workerFile, { workerData: { directory, how } });
  worker.on("error", () => {});
  const ended = new Promise((resolve) => worker.once("exit", resolve));
  if (how === "terminate") {
    await new Promise((resolve) => worker.once("message", resolve));
    await worker.terminate();
  }
  await ended;
}

test.each(["terminate", "throw", "exit"] as const)(
  "a worker that ends by %s takes its threads and descriptors along",
  async (how) => {
    await live(how); // what is made once and kept
    const before = [descriptors(), threads()];
    // One pipe's write end a worker is leaked by the worker itself, on purpose: its read end is what the addon must close.
    for (let round = 0; round < 5; round++) await live(how);
    expect(descriptors() - (before[0] as number)).toBeLessThanOrEqual(5);
    expect(threads()).toBeLessThanOrEqual(before[1] as number);
  },
);

test("a process that just ends does so at once, with all of that under way", () => {
  const data = JSON.stringify({ workerData: { directory, how: "terminate" }, execArgv: [] });
  const script = `import { Worker } from "node:worker_threads";
    new Worker(${JSON.stringify(workerFile)}, ${data}).once("message", () => process.exit(5));`;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    timeout: 10_000,
    encoding: "utf8",
  });
  expect([child.status, child.signal, child.stderr]).toEqual([5, null, ""]);
});

test("jobs that nobody holds any more end, and give back what they had", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const round = async () => {
    for (let i = 0; i < 20; i++) {
      const apply = new native.LayerApply({
        source: { kind: "push", path: null },
        target: directory,
        whiteouts: true,
        hashCompressed: false,
        maxBytes: 0,
        maxEntries: 1,
        sync: false,
        faithful: false,
        deferLinks: false,
      });
      apply.start().catch(() => {});
      void new native.LayerDiff({
        upper: directory,
        whiteouts: true,
        gzip: false,
        live: false,
        faithful: false,
        lower: [],
        ignored: [],
      }).read();
      new native.LayerApply({
        source: { kind: "file", path: join(directory, "big") },
        target: directory,
        whiteouts: true,
        hashCompressed: false,
        maxBytes: 0,
        maxEntries: 1,
        sync: false,
        faithful: false,
        deferLinks: false,
      });
    }
    for (let i = 0; i < 20; i++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  await round();
  const before = [descriptors(), threads()];
  await round();
  expect([descriptors(), threads()]).toEqual(before);
});

test("1,000 of everything leave no descriptor, thread or memory behind", async () => {
  const once = async () => {
    const apply = new LayerApply({ target: directory, source: { kind: "push" } });
    await apply.write(Buffer.alloc(1024));
    await apply.finish();
    for await (const _ of diffLayer({ upper: directory })) break;
    const [read, write] = pipe();
    const report = readReport(read, 1000);
    closeSync(write);
    await report;
    const controller = new AbortController();
    const pidfd = pidfdOpen(process.pid);
    const waiting = pidfdWait(pidfd, controller.signal);
    controller.abort();
    await waiting.catch(() => {});
    closeSync(pidfd);
  };
  for (let i = 0; i < 100; i++) await once();
  const before = { fds: descriptors(), threads: threads(), rss: process.memoryUsage.rss() };
  for (let i = 0; i < 1000; i++) await once();
  // A reader that stops early does not wait for the thread it stopped.
  await expect.poll(descriptors).toBeLessThanOrEqual(before.fds);
  await expect.poll(threads).toBeLessThanOrEqual(before.threads);
  expect(process.memoryUsage.rss() - before.rss).toBeLessThan(96 << 20);
}, 60_000);
