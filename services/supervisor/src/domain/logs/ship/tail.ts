import { createHash } from "node:crypto";
import { closeAll, type LogFile, openAll, openSuccessor } from "../files.ts";
import { compactHead, compactRecords, maxRecord } from "../records.ts";
import { type Source, sourceOf } from "../source.ts";
import type { Entry } from "./driver.ts";

export interface Batch {
  entries: Entry[];
  /** The place in the log behind them. */
  position: number;
  /** bytes of log in front of them that were rotated out before anybody read them. */
  dropped: number;
}

const readSize = 256 * 1024;
/** At most this many entries are on their way at once. */
const maxEntries = 512;
const header = compactRecords.header;

interface Current {
  file: LogFile;
  source: Source;
  /** The log's length before this file. */
  base: number;
}

/**
 * Reads a compact log from a place on, over rotations. A place is one number (native/isolation/PROTOCOL.md), so that it means the
 * same after any number of rotations, and what was lost to them can be told in bytes.
 */
export class CompactTail {
  readonly #path: string;
  #position: number;
  #current: Current | undefined;
  readonly #buffer = Buffer.allocUnsafe(readSize + maxRecord);
  #start = 0;
  #length = 0;
  #dropped = 0;
  readonly #lines = { stdout: { id: "", ordinal: 0 }, stderr: { id: "", ordinal: 0 } };

  constructor(path: string, position: number) {
    this.#path = path;
    this.#position = position;
  }

  /** What comes next; undefined when there is nothing more for now. */
  async next(): Promise<Batch | undefined> {
    this.#current ??= await this.#open();
    while (this.#current !== undefined) {
      const entries = this.#parse();
      if (entries.length > 0) {
        const dropped = this.#dropped;
        this.#dropped = 0;
        return { entries, position: this.#position, dropped };
      }
      if (!(await this.#fill(this.#current)) && !(await this.#advance(this.#current))) return undefined;
    }
    return undefined;
  }

  close(): void {
    this.#current?.source.close();
    if (this.#current !== undefined) closeAll([this.#current.file]);
    this.#current = undefined;
  }

  async #fill({ source }: Current): Promise<boolean> {
    this.#buffer.copyWithin(0, this.#start, this.#length);
    this.#length -= this.#start;
    this.#start = 0;
    const count = await source.read(this.#buffer, this.#length, readSize);
    this.#length += count;
    return count > 0;
  }

  /** To the file after the current one; false when there is none. */
  async #advance(current: Current): Promise<boolean> {
    const next = openSuccessor(this.#path, current.file.id);
    if (next === undefined) return false;
    // Records may have come between our last look and the rotation.
    if (await this.#fill(current)) {
      closeAll([next]);
      return true;
    }
    const end = current.base + (this.#position - current.base);
    this.close();
    this.#start = 0;
    this.#length = 0;
    await this.#use(next, end);
    return true;
  }

  async #open(): Promise<Current | undefined> {
    const files = openAll(this.#path);
    let chosen: LogFile | undefined;
    for (const file of files) {
      const base = await baseOf(file);
      // A new file exists a moment before its header does.
      if (base === undefined) continue;
      if (chosen === undefined || base <= this.#position) chosen = file;
    }
    closeAll(files.filter((file) => file !== chosen));
    if (chosen !== undefined) await this.#use(chosen, this.#position);
    return this.#current;
  }

  async #use(file: LogFile, position: number): Promise<void> {
    const base = await baseOf(file);
    if (base === undefined) {
      closeAll([file]);
      return;
    }
    if (base > position && position > 0) this.#dropped += base - position;
    this.#position = Math.max(position, base + header);
    this.#current = { file, base, source: sourceOf(file, this.#position - base) };
  }

  #parse(): Entry[] {
    const entries: Entry[] = [];
    while (entries.length < maxEntries) {
      const end = compactRecords.end(this.#buffer, this.#start, this.#length);
      if (end === -2) {
        // No record of ours: nothing in this file can be trusted from here on.
        this.#position += this.#length - this.#start;
        this.#start = this.#length;
      }
      if (end < 0) break;
      entries.push(this.#entry(this.#start, end));
      this.#position += end - this.#start;
      this.#start = end;
    }
    return entries;
  }

  #entry(start: number, end: number): Entry {
    const flags = this.#buffer[start + 4] ?? 0;
    const stderr = (flags & 1) !== 0;
    const goesOn = (flags & 2) !== 0;
    const time = this.#buffer.readBigInt64LE(start + 5);
    const whole = Buffer.from(this.#buffer.subarray(start + compactHead, end - 4));
    const content = whole.at(-1) === 10 ? whole.subarray(0, -1) : whole;
    const line = stderr ? this.#lines.stderr : this.#lines.stdout;
    if (!goesOn && line.ordinal === 0) return { stderr, time, content };
    if (line.ordinal === 0) line.id = createHash("sha256").update(`${this.#path}:${this.#position}`).digest("hex");
    line.ordinal++;
    const partial = { id: line.id, ordinal: line.ordinal, last: !goesOn };
    if (!goesOn) line.ordinal = 0;
    return { stderr, time, content, partial };
  }
}

async function baseOf(file: LogFile): Promise<number | undefined> {
  const source = sourceOf(file, 0);
  const bytes = Buffer.alloc(header);
  try {
    let length = 0;
    while (length < header) {
      const count = await source.read(bytes, length, header - length);
      if (count === 0) return undefined;
      length += count;
    }
  } finally {
    source.close();
  }
  return bytes.toString("latin1", 0, 8) === "BERTHLG1" ? Number(bytes.readBigUInt64LE(8)) : undefined;
}
