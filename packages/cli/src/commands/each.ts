import type { Context } from "../command.ts";
import { EngineError } from "../engine/client.ts";

/**
 * Does the same for every argument, goes on after a failure, and prints each name that went well.
 * Resolves to 1 when one of them failed.
 */
export async function forEach(context: Context, work: (name: string) => Promise<string | undefined>): Promise<number> {
  let code = 0;
  for (const name of context.args) {
    try {
      const text = await work(name);
      if (text !== undefined) await context.print(`${text}\n`);
    } catch (error) {
      if (!(error instanceof EngineError) || error.status === 0) throw error;
      context.warn(`Error response from engine: ${error.message}`);
      code = 1;
    }
  }
  return code;
}

/** A container's part of a path. */
export function containerPath(name: string, rest = ""): string {
  return `/containers/${encodeURIComponent(name)}${rest}`;
}
