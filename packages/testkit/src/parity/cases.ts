// Scripts of docker commands, and what an engine answered to each.
import { readFile } from "node:fs/promises";

export interface ParityCase {
  readonly name: string;
  readonly steps: readonly Step[];
}

export interface Step {
  /** For sh; `docker` is the client, talking to the engine under test. */
  readonly command: string;
  /** What is compared. Words of the low-level runtime, for example, are each engine's own. */
  readonly compare: "all" | "stdout" | "exit";
}

/** What one step did, made comparable. */
export interface StepResult {
  readonly command: string;
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * A file of cases: a case begins with "## NAME", each line after it is a step. A step that begins with "~ " is compared
 * without its standard error, one with "? " by its exit code alone; lines that begin with "# " are comments.
 */
export async function readCases(file: string): Promise<ParityCase[]> {
  const cases: { name: string; steps: Step[] }[] = [];
  for (const line of (await readFile(file, "utf8")).split("\n")) {
    if (line.trim() === "" || line.startsWith("# ")) continue;
    if (line.startsWith("## ")) {
      cases.push({ name: line.slice(3), steps: [] });
      continue;
    }
    const steps = cases.at(-1)?.steps;
    if (steps === undefined) throw new Error(`${file}: a step before the first case: ${line}`);
    if (line.startsWith("~ ")) steps.push({ command: line.slice(2), compare: "stdout" });
    else if (line.startsWith("? ")) steps.push({ command: line.slice(2), compare: "exit" });
    else steps.push({ command: line, compare: "all" });
  }
  return cases;
}

/** The part of a result that is compared. */
export function compared(step: Step, result: StepResult): Partial<StepResult> {
  const { command, exit, stdout } = result;
  if (step.compare === "exit") return { command, exit };
  return step.compare === "stdout" ? { command, exit, stdout } : result;
}
