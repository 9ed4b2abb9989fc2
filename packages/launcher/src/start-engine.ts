import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "@berth/errors";
import { isRunning } from "./lock.ts";
import { projectDir } from "./services.ts";
import { readState } from "./state.ts";

export interface StartEngineOptions {
  root: string;
  runDir: string;
  /** All unless given. */
  services?: readonly string[];
  /** Path of a network namespace to run everything in, such as /run/netns/NAME. Its loopback must be up. */
  netns?: string;
  /** Engine API endpoints; unix://RUN_DIR/berth.sock unless given. */
  hosts?: readonly string[];
  /** Further words for the launcher. */
  args?: readonly string[];
  /** Beside this process' own. */
  env?: NodeJS.ProcessEnv;
}

/** An engine in processes of its own. If the process that started it dies, the engine stops; containers run on. */
export interface RunningEngine {
  /** Path of the Engine API's unix socket. */
  readonly socket: string;
  readonly root: string;
  readonly runDir: string;
  /** Of the launcher, the parent of all. */
  readonly pid: number;
  /** What the launcher said last: at most 8 KiB. */
  said(): string;
  /** Of a service, or of "nats", as it runs now. Throws NOT_FOUND for one that never ran. */
  pidOf(service: string): number;
  /** SIGKILL unless another signal is given; the launcher starts it again. */
  kill(service: string, signal?: NodeJS.Signals): void;
  /** Waits until a service, or "nats", runs and answers its health check. Throws DEADLINE after `timeoutMs` (10 s). */
  healthy(service: string, timeoutMs?: number): Promise<void>;
  stop(): Promise<void>;
}

/** Starts an engine and waits until it is healthy. Throws UNAVAILABLE with what its launcher said when it doesn't come up. */
export async function startEngine(options: StartEngineOptions): Promise<RunningEngine> {
  const { root, runDir } = options;
  const child = launch(options);
  let said = "";
  child.stdout?.on("data", (data: Buffer) => {
    said = (said + data.toString()).slice(-8192);
  });
  child.stderr?.on("data", (data: Buffer) => {
    said = (said + data.toString()).slice(-8192);
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.once("message", () => resolve());
    child.once("error", reject);
    void exited.then(() => reject(new BerthError("UNAVAILABLE", `the engine did not start: ${said.trim()}`)));
  });
  const pidOf = (service: string): number => {
    const pid = readState(runDir)?.processes[service]?.pid;
    if (pid === undefined) throw new BerthError("NOT_FOUND", `no ${service} runs in this engine`);
    return pid;
  };
  return {
    socket: join(runDir, "berth.sock"),
    root,
    runDir,
    pid: child.pid ?? 0,
    said: () => said,
    pidOf,
    kill: (service, signal = "SIGKILL") => {
      process.kill(pidOf(service), signal);
    },
    healthy: (service, timeoutMs = 10_000) => untilHealthy(runDir, service, timeoutMs),
    stop: async () => {
      child.kill("SIGTERM");
      await exited;
    },
  };
}

async function untilHealthy(runDir: string, service: string, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const process = readState(runDir)?.processes[service];
    if (process?.serving && isRunning(process)) return;
    if (performance.now() > deadline)
      throw new BerthError("DEADLINE", `${service} is not healthy after ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function launch({ root, runDir, services, netns, hosts, args: more = [], env }: StartEngineOptions): ChildProcess {
  const main = join(projectDir, "packages/launcher/dist/main.js");
  if (!existsSync(main)) throw new BerthError("NOT_FOUND", "the launcher is not built (npm run build)");
  const args = [
    ...["--root", root, "--run-dir", runDir, "--no-hello"],
    ...(services === undefined ? [] : ["--services", services.join(",")]),
    ...(hosts ?? []).flatMap((host) => ["--host", host]),
    ...more,
  ];
  // nsenter becomes the program it starts: the pid is the launcher's.
  const [command, ...before] =
    netns === undefined ? [process.execPath] : ["nsenter", `--net=${netns}`, "--", process.execPath];
  return spawn(command ?? process.execPath, [...before, main, ...args], {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    env: { ...withoutOwnSettings(process.env), ...env },
  });
}

/** What a developer's shell says about an engine of their own is not meant for this one. */
function withoutOwnSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([key]) => !key.startsWith("BERTH_") || key === "BERTH_LOG_LEVEL");
  return Object.fromEntries(kept.filter(([key]) => key !== "NODE_OPTIONS"));
}
