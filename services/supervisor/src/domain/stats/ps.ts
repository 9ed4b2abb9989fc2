import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { BerthError } from "@berth/errors";
import type { ProcessTable } from "./top.ts";

const run = promisify(execFile);
const limits = { timeout: 10_000, maxBuffer: 16 << 20 };
const maxArguments = 4096;

interface PsFailure {
  code?: unknown;
  stderr?: string;
  message: string;
}

/**
 * The host's ps with a user's arguments, its rows of these processes alone (Docker's `docker top`). For options that nobody
 * wants often enough for them to be ours. Throws INTERNAL with ps's first line, or when there is no column PID.
 */
export async function runPs(psArgs: string, pids: readonly number[]): Promise<ProcessTable> {
  checkArguments(psArgs);
  const args = psArgs.split(" ").slice(0, maxArguments);
  return parsePs(await output(args, pids), new Set(pids));
}

/** A column of another meaning under the title PID would let a container see processes that are not its own. */
function checkArguments(psArgs: string): void {
  for (const [, key = "", value = ""] of psArgs.matchAll(/\s+([^\s]*)=\s*(PID[^\s]*)/g)) {
    if (key !== "pid") throw new BerthError("INTERNAL", `specifying "${key}=${value}" is not allowed`);
  }
}

async function output(args: readonly string[], pids: readonly number[]): Promise<string> {
  try {
    return (await run("ps", [...args, `-q${pids.join(",")}`], limits)).stdout;
  } catch {
    // Some options cannot be used together with -q: then all are listed, and ours picked out.
  }
  try {
    return (await run("ps", [...args], limits)).stdout;
  } catch (error) {
    const { code, stderr = "", message } = error as PsFailure;
    if (code === "ENOENT")
      throw new BerthError("NOT_IMPLEMENTED", "these ps arguments need the program ps on the host");
    const line = stderr.split("\n")[0] ?? "";
    throw new BerthError("INTERNAL", `ps: ${line === "" ? message : line}`);
  }
}

/** Rows of `pids`, and rows of threads ("-" for a PID) below them. A command's blanks stay in the last column. */
export function parsePs(text: string, pids: ReadonlySet<number>): ProcessTable {
  const [head = "", ...lines] = text.split("\n");
  const titles = words(head);
  const pidColumn = titles.indexOf("PID");
  if (pidColumn < 0) throw new BerthError("INTERNAL", "Couldn't find PID field in ps output");
  const rows: string[][] = [];
  let inside = false;
  for (const line of lines) {
    const fields = words(line);
    if (fields.length === 0) continue;
    const pid = fields[pidColumn] ?? "";
    if (pid !== "-") {
      if (!/^\d+$/.test(pid))
        throw new BerthError(
          "INTERNAL",
          `Unexpected pid '${pid}': strconv.Atoi: parsing ${JSON.stringify(pid)}: invalid syntax`,
        );
      inside = pids.has(Number(pid));
    }
    if (inside) rows.push([...fields.slice(0, titles.length - 1), fields.slice(titles.length - 1).join(" ")]);
  }
  return { titles, rows };
}

const words = (line: string): string[] => line.split(/[\t\n\f\r ]+/).filter((word) => word !== "");
