// Runs cases on one engine.
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../process.ts";
import type { ParityCase, StepResult } from "./cases.ts";
import { normalise } from "./normalise.ts";

const stepTimeoutMs = 60_000;

export interface ParityEngine {
  readonly socket: string;
  /** The docker client. */
  readonly docker: string;
  /** Words before a command that must run where the engine's ports are. */
  readonly enter: readonly string[];
}

/** The case's steps, one after the other, in an empty directory; what the case made (all names begin with p-) goes afterwards. */
export async function runCase(engine: ParityEngine, { steps }: ParityCase): Promise<StepResult[]> {
  const work = await mkdtemp(join(tmpdir(), "berth-parity-"));
  try {
    await symlink(engine.docker, join(work, "docker"));
    const env = {
      PATH: `${work}:${process.env["PATH"] ?? ""}`,
      HOME: work,
      DOCKER_CONFIG: join(work, ".docker"),
      DOCKER_HOST: `unix://${engine.socket}`,
      DOCKER_CLI_HINTS: "false",
    };
    const shell = async (command: string) =>
      run([...engine.enter, "sh", "-c", command], { env, cwd: work, timeoutMs: stepTimeoutMs });
    const results: StepResult[] = [];
    for (const { command } of steps) {
      const { code, stdout, stderr } = await shell(command);
      results.push({ command, exit: code, stdout: normalise(stdout, work), stderr: normalise(stderr, work) });
    }
    await shell("docker ps -aq --filter name=^p- | xargs -r docker rm -fv");
    await shell("docker volume ls -q --filter name=^p- | xargs -r docker volume rm -f");
    await shell("docker images --format '{{.Repository}}:{{.Tag}}' --filter reference='p-*' | xargs -r docker rmi");
    return results;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
