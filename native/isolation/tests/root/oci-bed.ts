/** Busybox bundles and the OCI command line for tests. Needs root; everything it makes goes away with close(). */
import { spawn } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, readdir, rm, rmdir, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const runtime = process.env["BERTH_RUNTIME"] ?? join(import.meta.dirname, "../../build/berth-runtime");
const applets =
  "sh cat echo sleep true false id ls mount umount hostname stat readlink touch mkdir ps kill tty stty env pwd mknod ulimit grep wc unshare chroot test ln rm".split(
    " ",
  );

export type Json = Record<string, unknown>;

export interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** The parts of config.json that tests change. */
export interface Config {
  ociVersion: string;
  process: Json & { args: string[]; env: string[]; cwd: string; terminal: boolean };
  root: { path: string; readonly: boolean };
  hostname?: string;
  domainname?: string;
  mounts: Json[];
  hooks?: Json;
  annotations?: Json;
  linux: Json & { namespaces: { type: string; path?: string }[] };
}

const capabilities = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_MKNOD"];

function baseConfig(cgroupsPath: string): Config {
  return {
    ociVersion: "1.2.0",
    process: {
      terminal: false,
      args: ["true"],
      env: ["PATH=/bin"],
      cwd: "/",
      user: { uid: 0, gid: 0 },
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    },
    root: { path: "rootfs", readonly: false },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=64k"] },
      { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["newinstance", "ptmxmode=0666"] },
    ],
    linux: {
      cgroupsPath,
      namespaces: ["pid", "network", "ipc", "uts", "mount", "cgroup"].map((type) => ({ type })),
      maskedPaths: ["/proc/kcore", "/proc/scsi"],
      readonlyPaths: ["/proc/sys"],
    },
  };
}

/** Runs a program to its end. */
export function execute(file: string, args: readonly string[], input = "", timeoutMs = 30_000): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"], timeout: timeoutMs, killSignal: "SIGKILL" });
    let out = "";
    let err = "";
    child.stdout.on("data", (data: Buffer) => (out += data.toString()));
    child.stderr.on("data", (data: Buffer) => (err += data.toString()));
    child.on("error", reject);
    child.stdin.on("error", () => undefined);
    child.on("close", (code, signal) => resolve({ code: code ?? (signal === null ? -1 : 255), out, err }));
    child.stdin.end(input);
  });
}

export class Bed {
  readonly directory: string;
  readonly rootfs: string;
  readonly cgroup: string;
  private readonly ids = new Set<string>();
  private counter = 0;

  private constructor(directory: string) {
    this.directory = directory;
    this.rootfs = join(directory, "rootfs");
    this.cgroup = `/berth-oci-test-${process.pid}`;
  }

  static async open(): Promise<Bed> {
    if (process.getuid?.() !== 0) throw new Error("these tests need root");
    const bed = new Bed(await mkdtemp(join(tmpdir(), "berth-oci-")));
    await chmod(bed.directory, 0o755);
    for (const name of ["bin", "proc", "dev", "etc", "tmp", "sys"])
      await mkdir(join(bed.rootfs, name), { recursive: true });
    await copyFile("/bin/busybox", join(bed.rootfs, "bin/busybox"));
    await Promise.all(applets.map((name) => symlink("busybox", join(bed.rootfs, "bin", name))));
    return bed;
  }

  config(change: (config: Config) => void = () => undefined): Config {
    const config = baseConfig(`${this.cgroup}/${this.counter}`);
    change(config);
    return config;
  }

  /** A new id, which close() deletes if a test does not. */
  id(): string {
    const id = `t${process.pid}-${this.counter++}`;
    this.ids.add(id);
    return id;
  }

  async write(config: Config): Promise<void> {
    await writeFile(join(this.directory, "config.json"), JSON.stringify(config));
  }

  /** The command line with this bed's state directory. */
  cli(args: readonly string[], input = ""): Promise<Result> {
    return execute(runtime, ["--root", join(this.directory, "state"), ...args], input);
  }

  /** `run` in the foreground. */
  async run(change: (config: Config) => void, input = ""): Promise<Result> {
    await this.write(this.config(change));
    return this.cli(["run", "--bundle", this.directory, this.id()], input);
  }

  /** Runs a shell script in a container. */
  sh(script: string, change: (config: Config) => void = () => undefined): Promise<Result> {
    return this.run((config) => {
      config.process.args = ["sh", "-c", script];
      change(config);
    });
  }

  /** `create` with stdio on /dev/null-like pipes is impossible to await, so detached: gives the id. */
  async start(change: (config: Config) => void): Promise<string> {
    await this.write(this.config(change));
    const id = this.id();
    const made = await this.detached(["create", "--bundle", this.directory, id]);
    if (made.code !== 0) throw new Error(made.err);
    const started = await this.cli(["start", id]);
    if (started.code !== 0) throw new Error(started.err);
    return id;
  }

  /** A command whose container keeps the stdio it is given: nothing of it is read, but its error text through a file. */
  detached(args: readonly string[]): Promise<Result> {
    const log = join(this.directory, `log-${this.counter++}`);
    return new Promise((resolve, reject) => {
      const child = spawn(runtime, ["--root", join(this.directory, "state"), "--log", log, ...args], {
        stdio: "ignore",
      });
      child.on("error", reject);
      child.on("exit", (code) => {
        execute("/bin/cat", [log]).then((text) => resolve({ code: code ?? -1, out: "", err: text.out }), reject);
      });
    });
  }

  async state(id: string): Promise<Json & { status: string; pid: number }> {
    return JSON.parse((await this.cli(["state", id])).out) as Json & { status: string; pid: number };
  }

  async close(): Promise<void> {
    for (const id of this.ids) await this.cli(["delete", "--force", id]);
    await rm(this.directory, { recursive: true, force: true });
    for (const hierarchy of [".", ...(await readdir("/sys/fs/cgroup"))])
      await rmdir(join("/sys/fs/cgroup", hierarchy, this.cgroup)).catch(() => undefined);
  }
}

/** What a leak would show in. */
export async function census(): Promise<{ fds: number; mounts: number; processes: number; cgroups: number }> {
  const count = async (command: string) => Number((await execute("/bin/sh", ["-c", command])).out.trim());
  return {
    fds: (await readdir("/proc/self/fd")).length,
    mounts: await count(`grep -c "berth-oci-" /proc/self/mountinfo || true`),
    processes: await count(`ls -l /proc/[0-9]*/root 2>/dev/null | grep -c "berth-oci-" || true`),
    cgroups: await count(`find /sys/fs/cgroup -maxdepth 3 -path '*berth-oci-test-${process.pid}/*' -type d | wc -l`),
  };
}
