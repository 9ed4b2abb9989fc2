import type { Engine } from "./engine/client.ts";
import type { Flag, Parsed } from "./flags.ts";

/** What a command is given. */
export interface Context {
  /** Connects on first use. */
  engine: Engine;
  flags: Parsed;
  args: string[];
  /** Writes to stdout, waiting for a slow reader. */
  print(text: string): Promise<void>;
  warn(text: string): void;
}

export interface Command {
  /** "berth run [OPTIONS] IMAGE [COMMAND] [ARG...]" without "berth". */
  usage: string;
  summary: string;
  flags: readonly Flag[];
  examples: readonly string[];
  /** How many arguments: [least, most]. */
  args: readonly [number, number];
  /** False: flags end at the first argument, what follows is the container's. */
  interspersed?: boolean;
  /** The code for mistakes in the command line and for an engine that can't be reached; 1 unless given. */
  failure?: number;
  /** Resolves to the exit code. */
  run(context: Context): Promise<number>;
}

export const any = Number.POSITIVE_INFINITY;
