// A node for tests: a network namespace of its own with nats-server, image store, snapshotter and supervisor as real processes.
import { type ChildProcess, spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type ContainerSpec, type DeepPartial, SupervisorDefinition } from "@berth/api/containers";
import { type Image, ImageStoreDefinition, type ImportImageRequest } from "@berth/api/images";
import { acquireNatsServer, prepareNats } from "@berth/launcher";
import { createLogger } from "@berth/log";
import { type Client, type Clients, createClients, markEnd } from "@berth/rpc";
import { busyboxRoot, createNetns, eventually, must, type NetworkNamespace } from "@berth/testkit";

const services = resolve(import.meta.dirname, "../../..");
const hostId = "test-host";

export type Supervisor = Client<typeof SupervisorDefinition>;

export class Node {
  readonly work: string;
  readonly netns: NetworkNamespace;
  readonly #children = new Map<string, ChildProcess>();
  readonly #clients: Clients;
  #env: NodeJS.ProcessEnv = {};
  image: Image | undefined;

  private constructor(work: string, netns: NetworkNamespace) {
    this.work = work;
    this.netns = netns;
    this.#clients = createClients(undefined, { hostId, log: createLogger({ service: "test", level: "silent" }) });
  }

  static async open(): Promise<Node> {
    if (process.getuid?.() !== 0) throw new Error("these tests need root");
    const work = await mkdtemp(join(tmpdir(), "sup-"));
    const netns = await createNetns(`sup-${process.pid}-${Math.floor(performance.now())}`);
    const node = new Node(work, netns);
    try {
      await node.#start();
      await node.#importBusybox();
    } catch (error) {
      await node.close();
      throw error;
    }
    return node;
  }

  get runDir(): string {
    return join(this.work, "run");
  }
  get stateDir(): string {
    return join(this.work, "root/supervisor");
  }
  get supervisor(): Supervisor {
    return this.#clients.at(SupervisorDefinition, `unix:${this.runDir}/supervisor.sock`);
  }
  /** Another of the supervisor's services. */
  clientOf<D extends Parameters<Clients["at"]>[0]>(definition: D): Client<D> {
    return this.#clients.at(definition, `unix:${this.runDir}/supervisor.sock`);
  }
  get enter(): readonly string[] {
    return this.netns.enter;
  }
  pidOf(service: string): number {
    return this.#children.get(service)?.pid ?? 0;
  }

  async #start(): Promise<void> {
    await mkdir(this.runDir);
    const nats = await prepareNats(join(this.work, "nats"));
    this.#spawn("nats", await acquireNatsServer(), ["-c", nats.configFile], {});
    this.#env = {
      BERTH_ROOT: join(this.work, "root"),
      BERTH_RUN_DIR: this.runDir,
      BERTH_HOST_ID: hostId,
      BERTH_NODE_ID: "test-node",
      BERTH_NATS_URL: nats.url,
      BERTH_NATS_USER: nats.user,
      BERTH_NATS_PASSWORD_FILE: nats.passwordFile,
      BERTH_CDI_SPEC_DIRS: join(this.work, "cdi"),
      BERTH_LOG_LEVEL: process.env["BERTH_LOG_LEVEL"] ?? "warn",
    };
    for (const name of ["image-store", "snapshotter", "supervisor"]) this.startService(name);
    await this.serving();
  }

  /** With extra settings, for instance a fault point. */
  startService(name: string, extra: NodeJS.ProcessEnv = {}): ChildProcess {
    return this.#spawn(name, process.execPath, [join(services, name, "src/main.ts")], { ...this.#env, ...extra });
  }

  #spawn(name: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
    const [program = "", ...rest] = [...this.enter, command, ...args];
    const child = spawn(program, rest, { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, ...env } });
    this.#children.set(name, child);
    return child;
  }

  async serving(): Promise<void> {
    await eventually(
      "the supervisor serves",
      async () => {
        await this.supervisor.nodeInfo({}, { timeoutMs: 2_000 });
        return true;
      },
      60_000,
    );
  }

  /** Ends a service as a crash does, or politely. */
  async end(name: string, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#children.get(name);
    this.#children.delete(name);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill(signal);
    await ended;
  }

  async died(name: string): Promise<NodeJS.Signals | null> {
    const child = this.#children.get(name);
    if (!child) return null;
    if (child.exitCode === null && child.signalCode === null) await new Promise((done) => child.once("exit", done));
    return child.signalCode;
  }

  /** Starts the supervisor so that it kills itself at `point`, does `work` until it has, and starts it again. */
  async dieAt(point: string, work: () => Promise<unknown>): Promise<void> {
    await this.end("supervisor", "SIGTERM");
    this.startService("supervisor", { BERTH_SUPERVISOR_FAULT: point });
    await this.serving();
    const done = work().catch(() => undefined);
    const signal = await this.died("supervisor");
    if (signal !== "SIGKILL") throw new Error(`the supervisor ended with ${signal}, and not at ${point}`);
    await done;
    this.startService("supervisor");
    await this.serving();
  }

  async #importBusybox(): Promise<void> {
    const root = join(this.work, "busybox");
    await busyboxRoot(root);
    await must(["tar", "--numeric-owner", "-C", root, "-cf", `${root}.tar`, "."]);
    const store = this.#clients.at(ImageStoreDefinition, `unix:${this.runDir}/image-store.sock`);
    const { imageId } = await store.importImage(importRequests(`${root}.tar`));
    this.image = (await store.getImage({ reference: imageId })).image;
  }

  /** A spec that runs `cmd` in the busybox image, without a network. */
  spec(
    cmd: string[],
    config: DeepPartial<ContainerSpec["config"]> = {},
    hostConfig: DeepPartial<ContainerSpec["hostConfig"]> = {},
  ): DeepPartial<ContainerSpec> {
    const { image } = this;
    if (!image) throw new Error("no image");
    return {
      config: { cmd, image: "busybox", ...config },
      hostConfig: { networkMode: "none", ...hostConfig },
      imageId: image.id,
      layers: image.layers,
    };
  }

  /** Removes all containers, ends all processes. */
  async close(): Promise<void> {
    const list = async () => (await this.supervisor.list({ all: true }, { timeoutMs: 5_000 })).containers;
    const containers = await list().catch(async () => {
      // A test failed while the supervisor was down: its containers must go nevertheless.
      this.startService("supervisor");
      await this.serving();
      return list();
    });
    for (const { id } of containers) {
      await this.supervisor.remove({ container: id, force: true, volumes: true }).catch(() => undefined);
    }
    for (const name of ["supervisor", "snapshotter", "image-store", "nats"]) await this.end(name, "SIGTERM");
    this.#clients.close();
    await this.netns.remove();
    await rm(this.work, { recursive: true, force: true });
  }
}

async function* importRequests(path: string): AsyncGenerator<DeepPartial<ImportImageRequest>> {
  yield { message: { $case: "start", value: { reference: "busybox:latest" } } };
  for await (const value of markEnd(createReadStream(path))) yield { message: { $case: "data", value } };
}

/** A process's parent: of a container's first process that is its monitor. */
export async function parentOf(pid: number): Promise<number> {
  return Number(/^PPid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]);
}

/** Everything a logs call gives, as text. */
export async function textOf(logs: AsyncIterable<{ data: Uint8Array }>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const { data } of logs) chunks.push(data);
  return Buffer.concat(chunks).toString();
}

/** The payloads of framed output, all streams together or one. */
export function unframe(bytes: Buffer, stream?: number): string {
  let text = "";
  for (let at = 0; at + 8 <= bytes.length; ) {
    const size = bytes.readUInt32BE(at + 4);
    if (stream === undefined || bytes[at] === stream) text += bytes.toString("utf8", at + 8, at + 8 + size);
    at += 8 + size;
  }
  return text;
}

/** Runs a container to its end and gives what it printed and its exit code. */
export async function runToEnd(
  node: Node,
  cmd: string[],
  config: DeepPartial<ContainerSpec["config"]> = {},
  hostConfig: DeepPartial<ContainerSpec["hostConfig"]> = {},
): Promise<{ out: string; err: string; exitCode: number }> {
  const { supervisor } = node;
  const { id } = await supervisor.create({ spec: node.spec(cmd, config, hostConfig) });
  try {
    await supervisor.start({ container: id });
    const exitCode = await waitExit(node, id);
    const chunks: Uint8Array[] = [];
    for await (const { data } of supervisor.logs({ container: id, stdout: true, stderr: true })) chunks.push(data);
    const bytes = Buffer.concat(chunks);
    return { out: unframe(bytes, 1), err: unframe(bytes, 2), exitCode };
  } finally {
    await supervisor.remove({ container: id, force: true, volumes: true });
  }
}

export async function waitExit(node: Node, container: string): Promise<number> {
  let exitCode = -1;
  for await (const answer of node.supervisor.wait({ container })) exitCode = answer.exitCode ?? exitCode;
  return exitCode;
}

/** The reason a call failed with; fails when it did not. */
export async function failure(call: Promise<unknown>): Promise<{ reason: string; message: string }> {
  try {
    await call;
  } catch (error) {
    const { reason, message } = error as { reason: string; message: string };
    return { reason, message };
  }
  throw new Error("the call did not fail");
}

/** Starts an exec over gRPC (as a caller on another host would) and collects its streams. */
export async function execToEnd(
  node: Node,
  container: string,
  options: { cmd: string[]; stdin?: string; tty?: boolean; user?: string; env?: string[]; workingDir?: string },
) {
  const { stdin, ...rest } = options;
  const { id } = await node.supervisor.createExec({
    container,
    attachStdout: true,
    attachStderr: true,
    attachStdin: stdin !== undefined,
    ...rest,
  });
  async function* requests() {
    yield { message: { $case: "start" as const, value: { exec: id } } };
    if (stdin !== undefined) {
      yield { message: { $case: "stdin" as const, value: Buffer.from(stdin) } };
      yield { message: { $case: "closeStdin" as const, value: {} } };
    }
  }
  const chunks: Uint8Array[] = [];
  for await (const { message } of node.supervisor.startExec(requests()))
    if (message?.$case === "data") chunks.push(message.value);
  const bytes = Buffer.concat(chunks);
  await eventually("the exec has ended", async () => {
    const state = await node.supervisor.inspectExec({ exec: id });
    if (state.running || state.exitCode === undefined) throw new Error("still running");
    return true;
  });
  const { exitCode } = await node.supervisor.inspectExec({ exec: id });
  return {
    out: options.tty ? bytes.toString() : unframe(bytes, 1),
    err: options.tty ? "" : unframe(bytes, 2),
    exitCode,
    id,
  };
}
