// The cgroup v2 lane: boots a stock Debian kernel with all v2 controllers, runs the native tests and containers in it, and
// gives what each of them said. Two of its disks carry file systems with project quotas, which few machines' own have.
//
// Over the serial console the machine tells `@@ begin NAME`, the step's output, `@@ end NAME STATUS`, and at last
// `@@ done`. A step that is missing, a machine that hangs or dies, are failures.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Initramfs } from "./initramfs.ts";
import { runMachine } from "./machine.ts";
import { prepareTools, type Tools } from "./packages.ts";
import { makeTools } from "./tools.ts";

const HERE = dirname(fileURLToPath(import.meta.url));
const PACKAGE = join(HERE, "../..");
const REPOSITORY = join(PACKAGE, "../..");

/** In the order in which they must be loaded. What is built in or missing is passed over by name in the machine. */
const MODULES = [
  "drivers/virtio/virtio_ring.ko",
  "drivers/virtio/virtio.ko",
  "drivers/virtio/virtio_pci_legacy_dev.ko",
  "drivers/virtio/virtio_pci_modern_dev.ko",
  "drivers/virtio/virtio_pci.ko",
  "drivers/block/virtio_blk.ko",
  "fs/overlayfs/overlay.ko",
  "fs/quota/quota_tree.ko",
  "fs/quota/quota_v2.ko",
  "lib/libcrc32c.ko",
  "fs/xfs/xfs.ko",
];

export interface StepResult {
  readonly name: string;
  /** Exit status; null if it never ended. */
  readonly status: number | null;
  readonly output: string;
  readonly durationMs: number;
}

export interface LaneResult {
  readonly steps: readonly StepResult[];
  /** Until the machine's first process ran, ms. */
  readonly bootMs: number;
  readonly totalMs: number;
  readonly console: string;
}

export interface LaneOptions {
  /** Hard limit for the machine, ms. */
  readonly timeoutMs: number;
  /** Build folder with berth-runtime and berth-root-tests. */
  readonly build?: string;
  readonly cache?: string;
  readonly signal?: AbortSignal;
  readonly onLine?: (line: string) => void;
}

/** Names of the steps, from the scripts in steps/. */
export async function stepNames(): Promise<string[]> {
  const files = await readdir(join(HERE, "steps"));
  return files
    .filter((file) => file.endsWith(".sh"))
    .map((file) => file.slice(0, -3))
    .sort();
}

async function makeInitramfs(tools: Tools, build: string): Promise<Buffer> {
  const image = new Initramfs();
  for (const folder of ["bin", "dev", "proc", "sys", "tmp", "var/tmp", "run", "root", "etc", "steps", "modules", "mnt"])
    image.folder(folder);
  image.character("dev/console", 5, 1);
  await image.copy("bin/busybox", tools.busybox);
  image.link("bin/sh", "busybox");
  await image.copy("init", join(HERE, "init.sh"));
  await image.copy("bin/berth-runtime", join(build, "berth-runtime"));
  await image.copy("bin/berth-root-tests", join(build, "berth-root-tests"));
  image.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
  image.file("etc/group", "root:x:0:\n");
  for (const [index, path] of MODULES.entries()) {
    const from = join(tools.modules, "kernel", path);
    const name = `modules/${String(index).padStart(2, "0")}-${path.split("/").at(-1)}`;
    if (existsSync(from)) image.file(name, await readFile(from));
  }
  await image.copy("bin/support.sh", join(HERE, "support.sh"));
  for (const step of await stepNames()) await image.copy(`steps/${step}.sh`, join(HERE, "steps", `${step}.sh`));
  return image.bytes();
}

/** Test programs of other workspaces that need this machine: they are named here, not imported. */
const PROGRAMS = [join(HERE, "programs/runtimes.ts"), join(REPOSITORY, "services/snapshotter/tests/lane/bounded.ts")];

async function makeToolsFolder(work: string, build: string): Promise<string> {
  const folder = join(work, "tools-folder");
  await makeTools(folder, join(build, "addon/isolation.node"), PROGRAMS);
  return folder;
}

/** A file for a disk of the machine, with a file system if a command for one is given. */
async function makeDisk(path: string, bytes: number, command = ""): Promise<string> {
  await writeFile(path, "");
  await truncate(path, bytes);
  const [program, ...args] = command.split(" ");
  if (program) await promisify(execFile)(program, [...args, path]);
  return path;
}

/** Takes the console apart into steps. */
class Transcript {
  readonly steps: StepResult[] = [];
  readonly lines: string[] = [];
  bootMs = 0;
  done = false;
  #open: { name: string; lines: string[]; since: number } | undefined;
  readonly #start = performance.now();

  line(text: string): void {
    this.lines.push(text);
    // The kernel may write in the middle of a line of ours.
    const marker = /@@ (begin|end|done|up)(?: (\S+))?(?: (\d+))?/.exec(text);
    const now = performance.now();
    if (marker === null) {
      this.#open?.lines.push(text);
      return;
    }
    const [, kind, name, status] = marker;
    if (kind === "up") this.bootMs = now - this.#start;
    if (kind === "done") this.done = true;
    if (kind === "begin" && name !== undefined) this.#open = { name, lines: [], since: now };
    if (kind === "end") this.close(status === undefined ? null : Number(status));
  }

  close(status: number | null): void {
    if (this.#open === undefined) return;
    const { name, lines, since } = this.#open;
    this.#open = undefined;
    this.steps.push({ name, status, output: lines.join("\n"), durationMs: performance.now() - since });
  }
}

/** Prepares, boots, runs everything, cleans up. Throws when the machine did not get to its end (the console is in the message). */
export async function runLane(options: LaneOptions): Promise<LaneResult> {
  const build = options.build ?? join(PACKAGE, "build");
  for (const name of ["berth-runtime", "berth-root-tests"])
    if (!existsSync(join(build, name)))
      throw new Error(`${join(build, name)} is missing: npm run build:native makes it`);
  const tools = await prepareTools(options.cache ?? process.env.BERTH_CACHE_DIR ?? join(REPOSITORY, ".cache"));
  const work = await mkdtemp(join(tmpdir(), "berth-cgroup2-"));
  const started = performance.now();
  const transcript = new Transcript();
  try {
    const initramfs = join(work, "initramfs");
    await writeFile(initramfs, await makeInitramfs(tools, build));
    const disks = [
      await makeDisk(join(work, "plain"), 8 << 20),
      await makeDisk(join(work, "ext4"), 64 << 20, "mkfs.ext4 -q -O quota,project -E quotatype=prjquota"),
      // The least that mkfs.xfs takes.
      await makeDisk(join(work, "xfs"), 304 << 20, "mkfs.xfs -q"),
      await makeDisk(
        join(work, "tools"),
        320 << 20,
        `mkfs.ext4 -q -O ^has_journal -d ${await makeToolsFolder(work, build)}`,
      ),
    ];
    await runMachine(tools, {
      initramfs,
      disks,
      timeoutMs: options.timeoutMs,
      memoryMiB: 768,
      cpus: 2,
      onLine: (line) => {
        transcript.line(line);
        options.onLine?.(line);
      },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
  } catch (error) {
    transcript.close(null);
    const tail = transcript.lines.slice(-60).join("\n");
    throw new Error(`cgroup v2 lane: ${(error as Error).message}\n${tail}`, { cause: error });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  transcript.close(null);
  const text = transcript.lines.join("\n");
  if (!transcript.done) throw new Error(`cgroup v2 lane: the machine ended before its end\n${text.slice(-4000)}`);
  return { steps: transcript.steps, bootMs: transcript.bootMs, totalMs: performance.now() - started, console: text };
}
