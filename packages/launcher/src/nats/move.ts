import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "@berth/errors";
import { hostPort, natsMoveCredsFile, natsWatchCredsFile } from "@berth/identity/layout";
import { projectDir } from "../services.ts";
import { freePort, natsEnvironment, waitForPort } from "./server.ts";
import { hasOwnStreams, markMoved, prepareSource, type SharedNats } from "./shared.ts";

export interface MoveParts {
  root: string;
  directory: string;
  shared: SharedNats;
  acquire(): Promise<string>;
  /** Ends the server that serves what is to be moved: from here on nobody writes to it. */
  end(): Promise<void>;
  say(line: string): void;
  signal: AbortSignal;
}

/** ms: a gigabyte of events is copied, and verified */
const helperMs = 10 * 60_000;

/**
 * Carries the streams of a server that was alone into the cluster that the others have formed. They are this server's until the last
 * step, and the cluster's behind it. @throws UNAVAILABLE, DATA_LOSS; then nothing has changed
 */
export async function moveIntoCluster(parts: MoveParts): Promise<void> {
  const { root, directory, shared, acquire, end, say, signal } = parts;
  // A crash came between the last step and this server's first start as one of several.
  if (!hasOwnStreams(directory)) return;
  const { caFile, identityFile, member } = shared;
  const to = (member?.clients ?? []).map((address) => `tls://${address}`);
  const credentials = { credsFile: natsMoveCredsFile(root), watchCredsFile: natsWatchCredsFile(root) };
  const files = { ...credentials, caFile, identityFile };
  await runHelper({ to, ...files }, signal);
  say("NATS: moving what is stored to the new servers");
  await end();
  const port = await freePort();
  const source = spawn(
    "setpriv",
    ["--pdeathsig", "TERM", "--", await acquire(), "-c", prepareSource(directory, shared, port)],
    {
      stdio: "ignore",
      env: natsEnvironment(),
      detached: true,
    },
  );
  const ended = new Promise<void>((resolve) => source.once("exit", () => resolve()).once("error", () => resolve()));
  try {
    await waitForPort(port, () => source.exitCode !== null);
    await runHelper({ from: `tls://${hostPort("127.0.0.1", port)}`, to, ...files }, signal);
  } finally {
    source.kill("SIGTERM");
    await ended;
  }
  markMoved(directory);
}

/** Runs packages/bus for a moment. @throws what it failed with */
function runHelper(task: object, signal: AbortSignal): Promise<void> {
  const main = join(projectDir, "packages/bus/dist/main.js");
  if (!existsSync(main)) throw new BerthError("NOT_FOUND", "not built: packages/bus (npm run build)");
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn(process.execPath, [main], {
      stdio: ["pipe", "pipe", "pipe"],
      timeout: helperMs,
      signal,
    });
    let said = "";
    let complained = "";
    child.stdout?.on("data", (data: Buffer) => {
      said += data.toString();
    });
    child.stderr?.on("data", (data: Buffer) => {
      complained = (complained + data.toString()).slice(-4096);
    });
    child.once("error", reject);
    child.once("close", () => {
      try {
        const { moved, message } = JSON.parse(said) as { moved?: string[]; message?: string };
        if (moved !== undefined) resolve();
        else reject(new BerthError("UNAVAILABLE", message ?? "no answer"));
      } catch {
        reject(new BerthError("INTERNAL", `packages/bus failed: ${complained.trim() || "no answer"}`));
      }
    });
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(JSON.stringify(task));
  });
}
