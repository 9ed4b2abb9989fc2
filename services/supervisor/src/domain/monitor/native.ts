import { closeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { BerthError, errorMessage } from "@berth/errors";
import { listenUnix, pipe, readReport, spawnDetached } from "@berth/isolation";
import type { MonitorLauncher } from "./launcher.ts";
import type { StartReport } from "./protocol.ts";

/** The longest a start may take: a container's root file system on a slow disk, not its program. */
const startTimeoutMs = 120_000;

/** Starts the monitors with `runtime`, the path of berth-runtime. */
export function nativeLauncher(runtime: string): MonitorLauncher {
  return {
    async listen(path) {
      await rm(path, { force: true });
      return listenUnix(path);
    },
    close: closeSync,
    async start(bundle, listenFd) {
      const [read, write] = pipe();
      let report: Promise<string>;
      try {
        const args = ["berth-runtime", "monitor", "--bundle", bundle, "--listen-fd", "3", "--report-fd", "4"];
        report = readReport(read, startTimeoutMs);
        report.catch(() => undefined);
        const { exitCode } = await spawnDetached({ file: runtime, args, env: {}, fds: [listenFd, write] });
        if (exitCode !== 0)
          throw new BerthError("INTERNAL", `${runtime} ended with exit code ${exitCode} before it started a monitor`);
      } finally {
        // Ours must go: the report's end is seen only when nobody can write any more.
        closeSync(write);
      }
      return parseReport(await report);
    },
  };
}

function parseReport(line: string): StartReport {
  if (line === "") throw new BerthError("INTERNAL", "the monitor ended without saying whether the container started");
  try {
    return JSON.parse(line) as StartReport;
  } catch (error) {
    throw new BerthError("INTERNAL", `the monitor's report is not JSON: ${errorMessage(error)}`);
  }
}
