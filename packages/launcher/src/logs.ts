import { closeSync, copyFileSync, mkdirSync, openSync, readSync, renameSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";

const maxBytes = 10 * 1024 * 1024;
const keptFiles = 3;
const checkMs = 30_000;

/**
 * The services' log files. Services write to them themselves, so that a dying launcher costs no line; what it does is to
 * keep them bounded: FILE, and FILE.1 to FILE.3, of 10 MiB each.
 */
export class LogDirectory {
  readonly #directory: string;
  readonly #names = new Set<string>();
  readonly #timer: NodeJS.Timeout;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o750 });
    this.#timer = setInterval(() => this.#rotate(), checkMs);
    this.#timer.unref();
  }

  path(name: string): string {
    return join(this.#directory, `${name}.log`);
  }

  /** A descriptor to append with; the caller closes it once the child has it. */
  open(name: string): number {
    this.#names.add(name);
    return openSync(this.path(name), "a", 0o640);
  }

  /** The last lines, for an error message. */
  tail(name: string, lines: number, from = 0): string[] {
    const path = this.path(name);
    try {
      const { size } = statSync(path);
      const start = Math.max(from <= size ? from : 0, size - 16 * 1024);
      const buffer = Buffer.alloc(size - start);
      const file = openSync(path, "r");
      readSync(file, buffer, 0, buffer.length, start);
      closeSync(file);
      return buffer
        .toString("utf8")
        .split("\n")
        .filter((line) => line !== "")
        .slice(-lines);
    } catch {
      return [];
    }
  }

  size(name: string): number {
    try {
      return statSync(this.path(name)).size;
    } catch {
      return 0;
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #rotate(): void {
    for (const name of this.#names) {
      const path = this.path(name);
      if (this.size(name) < maxBytes) continue;
      for (let n = keptFiles - 1; n >= 1; n--) renameIfThere(`${path}.${n}`, `${path}.${n + 1}`);
      // Copied and truncated, not renamed: the writer has the file open, for appending, and goes on at its new end.
      copyFileSync(path, `${path}.1`);
      truncateSync(path);
    }
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
