/** A container with its monitor for tests: a busybox bundle, the real berth-runtime, a client for its socket. Needs root. */
import { closeSync, existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rm, rmdir, symlink, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listenUnix, pidfdOpen, pidfdWait, pipe, readReport, spawnDetached } from "../../ts/index.ts";

const runtime = process.env["BERTH_RUNTIME"] ?? join(import.meta.dirname, "../../build/berth-runtime");
/** Directory of all the control groups of this test process. */
const cgroupRoot = `berth-monitor-test-${process.pid}`;
const capabilities = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SYS_CHROOT",
];
const applets = [
  "sh",
  "cat",
  "echo",
  "sleep",
  "true",
  "false",
  "sha256sum",
  "seq",
  "stty",
  "tty",
  "tail",
  "wc",
  "kill",
  "id",
  "head",
  "grep",
  "ls",
  "dd",
];

export type Json = Record<string, unknown>;

export interface ProcessOptions {
  readonly terminal?: boolean;
  readonly uid?: number;
}

/** An OCI process object. */
export const ociProcess = (args: readonly string[], { terminal = false, uid = 0 }: ProcessOptions = {}): Json => ({
  terminal,
  args,
  env: ["PATH=/bin", "HOME=/", "TERM=xterm"],
  cwd: "/",
  user: { uid, gid: uid },
  capabilities: uid === 0 ? { bounding: capabilities, effective: capabilities, permitted: capabilities } : {},
});

export interface ContainerOptions extends ProcessOptions {
  readonly stdin?: boolean;
  readonly stdinOnce?: boolean;
  /** null: none. */
  readonly log?: { maxSize?: number; maxFiles?: number; path?: string } | null;
  readonly namespaces?: readonly string[];
  readonly resources?: Json;
  /** Path of another OCI runtime. */
  readonly runtime?: string;
  /** Runs when the socket listens and the monitor has not been started. */
  readonly before?: (container: Container) => Promise<void> | void;
}

/** One directory with the root file system that all containers of a test file share, read-only. */
export class Bed {
  readonly directory: string;
  private readonly containers: Container[] = [];
  private count = 0;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async make(): Promise<Bed> {
    if (process.getuid?.() !== 0) throw new Error("these tests need root");
    const bed = new Bed(await mkdtemp(join(tmpdir(), "berth-monitor-")));
    for (const name of ["bin", "proc", "dev", "tmp", "data"]) await mkdir(join(bed.rootfs, name), { recursive: true });
    await copyFile("/bin/busybox", join(bed.rootfs, "bin/busybox"));
    for (const name of applets) await symlink("busybox", join(bed.rootfs, "bin", name));
    return bed;
  }

  get rootfs(): string {
    return join(this.directory, "rootfs");
  }

  async start(args: readonly string[], options: ContainerOptions = {}): Promise<Container> {
    const id = `c${++this.count}`;
    const container = new Container(id, join(this.directory, id), this.rootfs);
    this.containers.push(container);
    await container.start(args, options);
    return container;
  }

  /** Ends what still runs and removes everything. Gives what was left behind by containers that had ended. */
  async close(): Promise<string[]> {
    const left: string[] = [];
    for (const container of this.containers) left.push(...(await container.close()));
    for (const path of cgroupPaths("")) await rmdir(path).catch(() => {});
    await rm(this.directory, { recursive: true, force: true });
    return left;
  }
}

/** The directories of a container's control group that exist, in every hierarchy. */
export function cgroupPaths(id: string): string[] {
  const names = [
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "systemd",
    "unified",
    "cpu,cpuacct",
    "",
  ];
  return names.map((name) => join("/sys/fs/cgroup", name, cgroupRoot, id)).filter((path) => existsSync(path));
}

export class Container {
  readonly id: string;
  readonly directory: string;
  private readonly rootfs: string;
  /** The line on the report descriptor. */
  report: Json = {};
  private monitorFd = -1;

  constructor(id: string, directory: string, rootfs: string) {
    this.id = id;
    this.directory = directory;
    this.rootfs = rootfs;
  }

  get socket(): string {
    return join(this.directory, "monitor.sock");
  }
  get logPath(): string {
    return join(this.directory, `${this.id}-json.log`);
  }
  get pid(): number {
    return this.report["pid"] as number;
  }
  get monitorPid(): number {
    return this.report["monitorPid"] as number;
  }

  async start(args: readonly string[], options: ContainerOptions): Promise<void> {
    await mkdir(this.directory);
    await writeFile(join(this.directory, "config.json"), JSON.stringify(this.spec(args, options)));
    const log = options.log === null ? null : { path: this.logPath, maxSize: 0, maxFiles: 1, ...options.log };
    const monitor = {
      v: 1,
      id: this.id,
      exitFile: join(this.directory, "exit.json"),
      log,
      rootfsMounts: [],
      user: "",
      stdinOpen: options.stdin ?? false,
      stdinOnce: options.stdinOnce ?? true,
      rows: 24,
      cols: 80,
      ...(options.runtime !== undefined && {
        runtime: { path: options.runtime, args: [], root: join(this.directory, "state") },
      }),
    };
    await writeFile(join(this.directory, "monitor.json"), JSON.stringify(monitor));
    const listener = listenUnix(this.socket);
    const [reader, writer] = pipe();
    try {
      await options.before?.(this);
      const words = ["berth-runtime", "monitor", "--bundle", this.directory, "--listen-fd", "3", "--report-fd", "4"];
      const { exitCode } = await spawnDetached({ file: runtime, args: words, env: {}, fds: [listener, writer] });
      if (exitCode !== 0) throw new Error(`the monitor's foreground part ended with ${exitCode}`);
    } finally {
      closeSync(listener);
      closeSync(writer);
    }
    this.report = JSON.parse(await readReport(reader, 20_000)) as Json;
    if (this.report["event"] === "started") this.monitorFd = pidfdOpen(this.monitorPid);
  }

  private spec(args: readonly string[], options: ContainerOptions): Json {
    const mount = (destination: string, type: string, ...flags: string[]) => ({
      destination,
      type,
      source: type,
      options: flags,
    });
    const namespaces = options.namespaces ?? ["pid", "mount", "uts", "ipc", "network"];
    return {
      ociVersion: "1.2.0",
      hostname: this.id,
      process: ociProcess(args, options),
      root: { path: this.rootfs, readonly: true },
      mounts: [
        mount("/proc", "proc", "nosuid", "noexec", "nodev"),
        mount("/dev", "tmpfs", "nosuid", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
        mount("/tmp", "tmpfs", "nosuid"),
      ],
      linux: {
        cgroupsPath: `/${cgroupRoot}/${this.id}`,
        namespaces: namespaces.map((type) => ({ type })),
        resources: options.resources ?? {},
      },
    };
  }

  /** Connects and sends a request. */
  async connect(request: Json): Promise<Client> {
    return Client.connect(this.socket, request);
  }

  /** A request that is answered by one line. */
  async ask(request: Json): Promise<Json> {
    const client = await this.connect(request);
    try {
      return await client.line();
    } finally {
      client.destroy();
    }
  }

  async attach(wants: { stdin?: boolean; stdout?: boolean; stderr?: boolean; exec?: string } = {}): Promise<Client> {
    const client = await this.connect({ op: "attach", stdin: false, stdout: true, stderr: true, ...wants });
    const answer = await client.line();
    if (answer["ok"] !== true) throw new Error(JSON.stringify(answer));
    return client;
  }

  /** Starts a process inside and attaches to it. */
  async exec(
    id: string,
    args: readonly string[],
    options: ProcessOptions & { stdin?: boolean } = {},
  ): Promise<{ client: Client; answer: Json }> {
    const attach = { stdin: options.stdin ?? false, stdout: true, stderr: true };
    const client = await this.connect({ op: "exec", id, process: ociProcess(args, options), attach });
    return { client, answer: await client.line() };
  }

  /** Waits for the monitor's end and gives the exit record. */
  async exit(): Promise<Json> {
    if (this.monitorFd >= 0) {
      await pidfdWait(this.monitorFd, AbortSignal.timeout(20_000));
      closeSync(this.monitorFd);
      this.monitorFd = -1;
    }
    return JSON.parse(await readFile(join(this.directory, "exit.json"), "utf8")) as Json;
  }

  async kill(signal = 9): Promise<Json> {
    await this.ask({ op: "kill", signal });
    return this.exit();
  }

  /** The log's records. */
  async log(path = this.logPath): Promise<{ log: string; stream: string; time: string }[]> {
    const text = await readFile(path, "utf8");
    return text
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as { log: string; stream: string; time: string });
  }
  async logText(path = this.logPath): Promise<string> {
    return (await this.log(path)).map((record) => record.log).join("");
  }

  async close(): Promise<string[]> {
    const ended = this.monitorFd < 0;
    if (!ended) await this.kill().catch(() => {});
    const left = ended ? cgroupPaths(this.id) : [];
    for (const path of cgroupPaths(this.id)) await rmdir(path).catch(() => {});
    return left;
  }
}

/** What a stream carried, by stream number. */
export interface Frames {
  readonly 1: Buffer;
  readonly 2: Buffer;
}

/** A connection to a monitor. Nothing is read from the socket before it is asked for, beyond node's own buffer. */
export class Client {
  readonly socket: Socket;
  private buffered = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {});
  }

  static async connect(path: string, request?: Json): Promise<Client> {
    const socket = connect({ path, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    const client = new Client(socket);
    if (request !== undefined) await client.write(`${JSON.stringify(request)}\n`);
    return client;
  }

  /** Resolves when the socket has taken it. */
  write(data: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.write(data, (error) => (error ? reject(error) : resolve()));
    });
  }
  end(): void {
    this.socket.end();
  }
  destroy(): void {
    this.socket.destroy();
  }

  /** The next piece, or null at the end. */
  async piece(): Promise<Buffer | null> {
    if (this.buffered.length > 0) {
      const piece = this.buffered;
      this.buffered = Buffer.alloc(0);
      return piece;
    }
    for (;;) {
      const piece = this.socket.read() as Buffer | null;
      if (piece !== null) return piece;
      if (this.socket.readableEnded || this.socket.destroyed) return null;
      await new Promise<void>((resolve) => {
        const done = () => {
          for (const event of ["readable", "end", "close"]) this.socket.off(event, done);
          resolve();
        };
        for (const event of ["readable", "end", "close"]) this.socket.on(event, done);
      });
    }
  }

  /** The next line, as JSON. */
  async line(): Promise<Json> {
    let text = Buffer.alloc(0);
    for (;;) {
      const newline = text.indexOf(10);
      if (newline >= 0) {
        this.buffered = Buffer.from(text.subarray(newline + 1));
        return JSON.parse(text.subarray(0, newline).toString()) as Json;
      }
      const piece = await this.piece();
      if (piece === null) throw new Error(`the connection ended after ${JSON.stringify(text.toString())}`);
      text = Buffer.concat([text, piece]);
    }
  }

  /** Everything until the end, as it comes. */
  async raw(): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let piece = await this.piece(); piece !== null; piece = await this.piece()) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  /** Everything until the end, frame by frame; a frame cut short is an error. */
  async eachFrame(handle: (stream: number, data: Buffer) => void): Promise<void> {
    let header = Buffer.alloc(0);
    let stream = 0;
    let left = 0;
    for (let piece = await this.piece(); piece !== null; piece = await this.piece()) {
      for (let rest = piece; rest.length > 0; ) {
        if (left === 0) {
          const take = Math.min(8 - header.length, rest.length);
          header = Buffer.concat([header, rest.subarray(0, take)]);
          rest = rest.subarray(take);
          if (header.length < 8) continue;
          if (header.readUIntBE(1, 3) !== 0) throw new Error(`not a frame header: ${header.toString("hex")}`);
          stream = header.readUInt8(0);
          left = header.readUInt32BE(4);
          header = Buffer.alloc(0);
          continue;
        }
        const data = rest.subarray(0, left);
        handle(stream, data);
        left -= data.length;
        rest = rest.subarray(data.length);
      }
    }
    if (left > 0 || header.length > 0) throw new Error("the stream ended inside a frame");
  }

  async frames(): Promise<Frames> {
    const pieces: Record<number, Buffer[]> = { 1: [], 2: [] };
    await this.eachFrame((stream, data) => pieces[stream]?.push(Buffer.from(data)));
    return { 1: Buffer.concat(pieces[1] ?? []), 2: Buffer.concat(pieces[2] ?? []) };
  }
  /** stdout as text. */
  async text(): Promise<string> {
    return (await this.frames())[1].toString();
  }
}

export const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits for something that comes about elsewhere, at most 10 s. */
export async function until<T>(look: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; await delay(5)) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
  }
  throw new Error("it did not come about within 10 s");
}
