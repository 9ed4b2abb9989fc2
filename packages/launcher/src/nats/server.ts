import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { BerthError } from "@berth/errors";

/** Where clients find the server. */
export interface NatsAccess {
  url: string;
  user: string;
  passwordFile: string;
}

export interface NatsSetup extends NatsAccess {
  host: string;
  port: number;
  configFile: string;
}

export interface NatsServerOptions {
  binary: string;
  /** Holds the store, the port, the password and the configuration: all of the server's state. */
  directory: string;
  /** Where its log goes; its stderr is ours unless given. */
  logFd?: number;
  /** A command to run it with, such as ["ip", "netns", "exec", NAME]. */
  prefix?: readonly string[];
}

export interface NatsServer extends NatsAccess {
  readonly process: ChildProcess;
  readonly exited: Promise<void>;
  stop(): Promise<void>;
}

const user = "berth";

/** Writes the configuration. Port and password are chosen at the first start and kept. */
export async function prepareNats(directory: string): Promise<NatsSetup> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const passwordFile = join(directory, "password");
  const password = kept(passwordFile, () => randomBytes(24).toString("base64url"));
  const portFile = join(directory, "port");
  const port = Number(kept(portFile, String(await freePort())));
  const configFile = join(directory, "nats-server.conf");
  writeDurably(configFile, configuration(directory, port, password));
  return { url: `nats://127.0.0.1:${port}`, user, passwordFile, host: "127.0.0.1", port, configFile };
}

/** Starts a server and waits until it takes connections. Throws UNAVAILABLE with its last words when it does not. */
export async function startNatsServer({
  binary,
  directory,
  logFd,
  prefix = [],
}: NatsServerOptions): Promise<NatsServer> {
  const setup = await prepareNats(directory);
  const [command = binary, ...args] = [...prefix, binary, "-c", setup.configFile];
  const child = spawn(command, args, {
    stdio: ["ignore", logFd ?? "inherit", logFd ?? "inherit"],
    env: natsEnvironment(),
  });
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  let gone = false;
  void exited.then(() => {
    gone = true;
  });
  if (prefix.length === 0) await waitForPort(setup.port, () => gone);
  const stop = async () => {
    if (!gone) child.kill("SIGTERM");
    await exited;
  };
  return { url: setup.url, user, passwordFile: setup.passwordFile, process: child, exited, stop };
}

/** Go's collector runs before the heap doubles: the server idles at a third less. */
export function natsEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, GOMEMLIMIT: "64MiB", GOGC: "50", GOMAXPROCS: "2" };
}

function configuration(directory: string, port: number, password: string): string {
  // The password is base64url: no character of it needs quoting.
  return `${serverBasics(join(directory, "store"), "127.0.0.1", port, "berth")}authorization { user: ${user}, password: "${password}" }
`;
}

export function serverBasics(store: string, host: string, port: number, name: string): string {
  return `# Written by Berth's launcher at each start.
# Quoted: a name that begins like "12e3" would be read as a number.
server_name: "${name}"
host: "${host}"
port: ${port}
max_payload: 1MB
write_deadline: "5s"
jetstream {
  store_dir: "${store}"
  # An event that was acknowledged outlives a power cut.
  sync_interval: always
  max_memory_store: 16MB
  # A promise, not what is used: streams have bounds of their own (packages/bus, 584 MiB in all). A server that gives one to others
  # and gets it again has promised it twice for a while, and takes none that it has no room left for.
  max_file_store: 4GB
}
`;
}

function kept(file: string, fresh: string | (() => string)): string {
  if (existsSync(file)) return readFileSync(file, "utf8").trim();
  const value = typeof fresh === "string" ? fresh : fresh();
  writeDurably(file, `${value}\n`);
  return value;
}

export function writeDurably(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600, flush: true });
  renameSync(`${file}.new`, file);
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
}

const startDeadlineMs = 15_000;

export async function waitForPort(port: number, gone: () => boolean): Promise<void> {
  const deadline = performance.now() + startDeadlineMs;
  while (!(await answers(port))) {
    if (gone())
      throw new BerthError("UNAVAILABLE", `nats-server ended before it served port ${port}; its log says why`);
    if (performance.now() > deadline)
      throw new BerthError("UNAVAILABLE", `nats-server does not serve port ${port} after 15 s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A server that is ready greets with INFO. */
export function answers(port: number, host = "127.0.0.1"): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    const end = (result: boolean) => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(1_000, () => end(false));
    socket.once("data", (data) => end(data.toString("latin1").startsWith("INFO ")));
    socket.once("error", () => end(false));
    socket.once("close", () => end(false));
  });
}
