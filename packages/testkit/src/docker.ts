// The real docker CLI against an engine's socket.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { must, type RunOptions, type RunResult, run } from "./process.ts";

/** The docker client to test with: BERTH_TEST_DOCKER, or the one on PATH. */
export async function findDocker(): Promise<string> {
  const named = process.env["BERTH_TEST_DOCKER"];
  const found = await (named === undefined ? findProgram("docker") : firstUsable([named]));
  if (found !== undefined) return found;
  throw new Error("no docker client found: install one (Debian package docker.io) or name it in BERTH_TEST_DOCKER");
}

/** A program on PATH, by its whole path. */
export const findProgram = (name: string): Promise<string | undefined> =>
  firstUsable((process.env["PATH"] ?? "").split(delimiter).map((dir) => join(dir, name)));

async function firstUsable(files: readonly string[]): Promise<string | undefined> {
  for (const file of files) {
    const usable = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) return file;
  }
  return undefined;
}

export class Docker {
  readonly file: string;
  readonly socket: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(file: string, socket: string, configDir: string) {
    this.file = file;
    this.socket = socket;
    // A configuration of the test's own: contexts and credentials of whoever runs it stay out.
    this.#env = { ...process.env, DOCKER_CONFIG: configDir, DOCKER_HOST: `unix://${socket}` };
    delete this.#env["DOCKER_CONTEXT"];
  }

  run(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run([this.file, ...args], { ...options, env: { ...this.#env, ...options.env } });
  }

  must(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return must([this.file, ...args], { ...options, env: { ...this.#env, ...options.env } });
  }

  start(args: readonly string[]): ChildProcessWithoutNullStreams {
    return spawn(this.file, args, { env: this.#env, stdio: "pipe" });
  }

  /** On a terminal of 30 rows and 100 columns: util-linux's script gives the client a pty. */
  terminal(args: readonly string[]): ChildProcessWithoutNullStreams {
    const words = [this.file, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
    return spawn("script", ["-qefc", `stty rows 30 cols 100; exec ${words}`, "/dev/null"], {
      env: { ...this.#env, TERM: "xterm" },
      stdio: "pipe",
    });
  }
}
