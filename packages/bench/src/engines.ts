// The engines that are compared, each in a network namespace and with a registry of its own.
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { startEngine } from "@berth/launcher";
import { Api, createNetns, Docker, must, run, startRegistry } from "@berth/testkit";
import { engineProcesses } from "./memory.ts";

export interface Engine {
  readonly name: string;
  readonly docker: Docker;
  readonly api: Api;
  /** The Engine API's unix socket. */
  readonly socket: string;
  /** Pids of all that the engine runs for itself (containers' own processes left out). */
  processes(): Promise<number[]>;
  stop(): Promise<void>;
}

export const REGISTRY_PORT = 5000;
export const BUSYBOX = `127.0.0.1:${REGISTRY_PORT}/busybox:latest`;
export const BIG = `127.0.0.1:${REGISTRY_PORT}/big:latest`;

export async function startBerth(registryDir: string, docker: string): Promise<Engine> {
  const work = await mkdtemp(join(tmpdir(), "berth-bench-"));
  const netns = await createNetns(`berth-bench-${process.pid}`);
  const engine = await startEngine({ root: join(work, "root"), runDir: join(work, "run"), netns: netns.path });
  const registry = await startRegistry({ dir: registryDir, port: REGISTRY_PORT, enter: netns.enter });
  const api = new Api(engine.socket);
  return {
    name: "berth",
    docker: new Docker(docker, engine.socket, join(work, "docker-config")),
    api,
    socket: engine.socket,
    processes: () => engineProcesses(engine.pid, work),
    stop: async () => {
      api.close();
      await registry.stop();
      await engine.stop();
      await netns.remove();
      await rm(work, { recursive: true, force: true });
    },
  };
}

/** The script that starts a real Docker Engine; undefined where there is none. */
export async function findPeer(): Promise<string | undefined> {
  const script = process.env["BERTH_PEER_ENGINE"] ?? join(import.meta.dirname, "../../../../shared/tools/peer-engine");
  return (await run(["test", "-x", script])).code === 0 ? script : undefined;
}

export async function startPeer(script: string, registryDir: string): Promise<Engine> {
  const name = `berth-peer-${process.pid}`;
  const clients = (await must([script, "clients"], { timeoutMs: 600_000 })).trim().split("\n").at(-1) as string;
  const socket = (await must([script, "start", name], { timeoutMs: 120_000 })).trim().split("\n").at(-1) as string;
  const registry = await startRegistry({
    dir: registryDir,
    port: REGISTRY_PORT,
    enter: ["nsenter", `--net=/run/netns/${name}`, "--"],
  });
  const config = await mkdtemp(join(tmpdir(), "berth-bench-peer-"));
  const api = new Api(socket);
  const daemon = Number(await readFile(join(dirname(socket), "pid"), "utf8"));
  return {
    name: "docker",
    docker: new Docker(join(clients, "docker"), socket, config),
    api,
    socket,
    processes: () => engineProcesses(daemon, dirname(socket)),
    stop: async () => {
      api.close();
      await registry.stop();
      await run([script, "stop", name], { timeoutMs: 60_000 });
      await rm(config, { recursive: true, force: true });
    },
  };
}

/** The docker client that drives both engines, so that its own cost is the same on both sides. */
export async function dockerFor(peerScript: string | undefined, fallback: () => Promise<string>): Promise<string> {
  if (peerScript === undefined) return fallback();
  const clients = (await must([peerScript, "clients"], { timeoutMs: 600_000 })).trim().split("\n").at(-1) as string;
  return join(clients, "docker");
}

export async function prepareDirectory(path: string): Promise<string> {
  await mkdir(path, { recursive: true });
  return path;
}
