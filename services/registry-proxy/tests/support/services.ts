// NATS, the image store and the registry proxy as processes of their own, the way they run in production.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ImageStoreDefinition } from "@berth/api/images";
import { RegistryProxyDefinition } from "@berth/api/registry";
import { type Bus, connectBus } from "@berth/bus";
import { acquireNatsServer, type NatsServer, startNatsServer } from "@berth/launcher/nats";
import { createLogger } from "@berth/log";
import { type Client, type Clients, createClients } from "@berth/rpc";
import { eventually, stop } from "@berth/testkit";

const services = resolve(import.meta.dirname, "../../..");

export interface Running {
  readonly dir: string;
  readonly bus: Bus;
  readonly clients: Clients;
  readonly images: Client<typeof ImageStoreDefinition>;
  readonly proxy: Client<typeof RegistryProxyDefinition>;
  readonly hostId: string;
  /** The process of a service, newest. */
  process(name: ServiceName): ChildProcess;
  /** Kills a service (SIGKILL) and resolves when it is gone. */
  kill(name: ServiceName): Promise<void>;
  start(name: ServiceName, env?: Record<string, string>): Promise<void>;
  close(): Promise<void>;
}

export type ServiceName = "image-store" | "registry-proxy";

export async function startServices(env: Record<string, string> = {}): Promise<Running> {
  const dir = mkdtempSync(join(tmpdir(), "berth-registry-"));
  mkdirSync(join(dir, "nats"));
  const nats = await startNatsServer({
    binary: await acquireNatsServer(),
    directory: join(dir, "nats"),
    logFd: openSync("/dev/null", "w"),
  });
  const hostId = "testhost";
  const common = {
    BERTH_ROOT: join(dir, "root"),
    BERTH_RUN_DIR: join(dir, "run"),
    BERTH_HOST_ID: hostId,
    BERTH_NODE_ID: "node1",
    BERTH_NODE_NAME: "node1",
    BERTH_NATS_URL: nats.url,
    BERTH_NATS_USER: nats.user,
    BERTH_NATS_PASSWORD_FILE: nats.passwordFile,
    BERTH_LOG_LEVEL: process.env["BERTH_TEST_LOG_LEVEL"] ?? "error",
    ...env,
  };
  const log = createLogger({ service: "test", level: "silent" });
  const bus = await connectBus({ url: nats.url, user: nats.user, passwordFile: nats.passwordFile, name: "test", log });
  const clients = createClients(bus, { hostId, log });
  const running = new Services(dir, nats, bus, clients, hostId, common);
  try {
    await Promise.all([running.start("image-store"), running.start("registry-proxy")]);
  } catch (error) {
    await running.close();
    throw error;
  }
  return running;
}

class Services implements Running {
  readonly dir: string;
  readonly bus: Bus;
  readonly hostId: string;
  readonly images: Client<typeof ImageStoreDefinition>;
  readonly proxy: Client<typeof RegistryProxyDefinition>;
  readonly #nats: NatsServer;
  readonly clients: Clients;
  readonly #env: Record<string, string>;
  readonly #processes = new Map<ServiceName, ChildProcess>();

  constructor(dir: string, nats: NatsServer, bus: Bus, clients: Clients, hostId: string, env: Record<string, string>) {
    this.dir = dir;
    this.#nats = nats;
    this.bus = bus;
    this.hostId = hostId;
    this.clients = clients;
    this.#env = env;
    this.images = clients.client(ImageStoreDefinition, "image-store");
    this.proxy = clients.client(RegistryProxyDefinition, "registry-proxy");
  }

  process(name: ServiceName): ChildProcess {
    const found = this.#processes.get(name);
    if (found === undefined) throw new Error(`${name} was not started`);
    return found;
  }

  async start(name: ServiceName, env: Record<string, string> = {}): Promise<void> {
    const before = new Set(this.bus.instances(name).map(({ instanceId }) => instanceId));
    const main = join(services, name, "src/main.ts");
    const child = spawn(process.execPath, [...(process.env["BERTH_TEST_NODE_FLAGS"]?.split(" ") ?? []), main], {
      env: { PATH: process.env["PATH"] ?? "", ...this.#env, ...env },
      stdio: ["ignore", "inherit", "inherit"],
    });
    this.#processes.set(name, child);
    await eventually(`${name} is announced`, () => {
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
      return this.bus.instances(name).some(({ instanceId }) => !before.has(instanceId)) || undefined;
    });
  }

  async kill(name: ServiceName): Promise<void> {
    const child = this.process(name);
    const gone = new Promise((done) => child.once("exit", done));
    child.kill("SIGKILL");
    await gone;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#processes.values()].map((child) => stop(child)));
    this.clients.close();
    await this.bus.drain();
    await this.#nats.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
