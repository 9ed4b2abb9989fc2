import { compactHead, compactOverhead } from "./records.ts";

/**
 * From Docker's json-file lines to what the Engine API sends, bytes to bytes: a JSON.parse a line would make logs of a busy
 * container several times slower. Lines that do not look as the monitor writes them go through JSON.parse.
 */

export interface FormatOptions {
  stdout: boolean;
  stderr: boolean;
  timestamps: boolean;
  details: boolean;
  /** Frames (Engine API, "Stream format"); raw for a terminal. */
  framed: boolean;
  /** ns since the epoch as RFC 3339 with nine digits, or undefined. */
  since: string | undefined;
  until: string | undefined;
}

const chunkSize = 256 * 1024;
const headerSize = 8;
/** RFC 3339 with nine digits, and a space. */
const stampSize = 31;
const [QUOTE, BACKSLASH, COMMA, SPACE] = [0x22, 0x5c, 0x2c, 0x20];
/** `{"log":"` */
const prefixSize = 8;
/** `","stream":"stdout","time":` from the content's end to the time's opening quote. */
const middleSize = 27;

/** Collects formatted lines into chunks. */
export class LogFormatter {
  readonly #options: FormatOptions;
  #out = Buffer.allocUnsafe(chunkSize);
  #length = 0;
  /** A line after `until` has been seen: nothing more is wanted. */
  past = false;

  constructor(options: FormatOptions) {
    this.#options = options;
  }

  get pending(): number {
    return this.#length;
  }

  /** True when a chunk is full enough to be sent. */
  get full(): boolean {
    return this.#length >= chunkSize / 2;
  }

  /** What has been collected; starts anew. */
  take(): Buffer {
    const chunk = this.#out.subarray(0, this.#length);
    this.#out = Buffer.allocUnsafe(chunkSize);
    this.#length = 0;
    return chunk;
  }

  /** Adds the line `source[start, end)`, its newline left out. */
  add(source: Buffer, start: number, end: number): void {
    const time = timeStart(source, start, end);
    if (time < 0) {
      this.#addSlowly(source, start, end);
      return;
    }
    // The last letter tells the streams apart: stdout, stderr.
    const isError = source[time - 11] === 0x72;
    if (!(isError ? this.#options.stderr : this.#options.stdout)) return;
    if (!this.#inRange(source, time, end - 2)) return;
    this.#emit(source, start + prefixSize, time - 1 - middleSize, isError ? 2 : 1, source, time, end - 2);
  }

  /** Adds a record of the compact format (records.ts): `source[start, end)`. */
  addCompact(source: Buffer, start: number, end: number): void {
    const { stdout, stderr, since, until, timestamps, framed, details } = this.#options;
    const isError = ((source[start + 4] ?? 0) & 1) !== 0;
    if (!(isError ? stderr : stdout)) return;
    let stamp = "";
    if (timestamps || since !== undefined || until !== undefined) {
      stamp = this.#stampOf(source.readBigInt64LE(start + 5));
      if (until !== undefined && stamp > until) {
        this.past = true;
        return;
      }
      if (since !== undefined && stamp < since) return;
    }
    const size = end - start - compactOverhead;
    this.#reserve(headerSize + stampSize + 1 + size);
    const out = this.#out;
    const begin = this.#length;
    let at = begin + (framed ? headerSize : 0);
    if (timestamps) {
      at += out.write(stamp, at, "latin1");
      out[at++] = SPACE;
    }
    if (details) out[at++] = SPACE;
    source.copy(out, at, start + compactHead, start + compactHead + size);
    at += size;
    if (framed) putHeader(out, begin, isError ? 2 : 1, at - begin - headerSize);
    this.#length = at;
  }

  #second = -1n;
  #secondText = "";

  /** RFC 3339 with nine digits; the calendar part is made once a second. */
  #stampOf(nano: bigint): string {
    const second = nano / 1_000_000_000n;
    if (second !== this.#second) {
      this.#second = second;
      this.#secondText = new Date(Number(second) * 1000).toISOString().slice(0, 20);
    }
    return `${this.#secondText}${String(nano % 1_000_000_000n).padStart(9, "0")}Z`;
  }

  #inRange(source: Buffer, from: number, to: number): boolean {
    const { since, until } = this.#options;
    if (since === undefined && until === undefined) return true;
    const text = padded(source.toString("latin1", from, to));
    if (until !== undefined && text > until) {
      this.past = true;
      return false;
    }
    return since === undefined || text >= since;
  }

  #emit(
    source: Buffer,
    from: number,
    to: number,
    stream: number,
    times: Buffer,
    timeFrom: number,
    timeTo: number,
    attributes = "",
  ): void {
    const { framed, timestamps, details } = this.#options;
    // Unescaping never makes a text longer.
    this.#reserve(headerSize + stampSize + attributes.length * 4 + 1 + (to - from));
    const out = this.#out;
    const begin = this.#length;
    let at = begin + (framed ? headerSize : 0);
    if (timestamps) at = putStamp(out, at, times, timeFrom, timeTo);
    if (details) {
      at += out.write(attributes, at);
      out[at++] = SPACE;
    }
    at = unescapeInto(source, from, to, out, at);
    if (framed) putHeader(out, begin, stream, at - begin - headerSize);
    this.#length = at;
  }

  #reserve(size: number): void {
    if (this.#length + size <= this.#out.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#length + size, chunkSize));
    this.#out.copy(larger, 0, 0, this.#length);
    this.#out = larger;
  }

  /** Any JSON with Docker's members, in any order; what is none (a torn last line after a power cut) is left out. */
  #addSlowly(source: Buffer, start: number, end: number): void {
    let line: { log?: unknown; stream?: unknown; time?: unknown; attrs?: unknown };
    try {
      line = JSON.parse(source.toString("utf8", start, end)) as typeof line;
    } catch {
      return;
    }
    const { log, stream, time, attrs } = line;
    if (typeof log !== "string" || typeof time !== "string") return;
    const isError = stream === "stderr";
    if (!(isError ? this.#options.stderr : this.#options.stdout)) return;
    const times = Buffer.from(time, "latin1");
    if (!this.#inRange(times, 0, times.length)) return;
    const text = Buffer.from(JSON.stringify(log));
    this.#emit(text, 1, text.length - 1, isError ? 2 : 1, times, 0, times.length, attributesText(attrs));
  }
}

/** Engine API, "Stream format". */
function putHeader(out: Buffer, at: number, stream: number, size: number): void {
  out[at] = stream;
  out[at + 1] = out[at + 2] = out[at + 3] = 0;
  out.writeUInt32BE(size, at + 4);
}

/** As Go's url.QueryEscape. */
const escaped = (text: string): string =>
  encodeURIComponent(text)
    .replaceAll("%20", "+")
    .replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);

function attributesText(attrs: unknown): string {
  if (typeof attrs !== "object" || attrs === null) return "";
  const pairs = Object.entries(attrs).map(([key, value]) => `${escaped(key)}=${escaped(String(value))}`);
  return pairs.sort().join(",");
}

/** Where the time's text begins in a line as the monitor writes it; -1 for any other. */
function timeStart(source: Buffer, start: number, end: number): number {
  if (end - start < prefixSize + middleSize + 4 || source[end - 2] !== QUOTE) return -1;
  let at = end - 3;
  const limit = Math.max(end - 40, start);
  while (at > limit && source[at] !== QUOTE) at--;
  if (source[at] !== QUOTE) return -1;
  const contentEnd = at - middleSize;
  if (contentEnd < start + prefixSize) return -1;
  // {"log":" … ","stream":"stdXXX","time":"
  const plain =
    source[contentEnd] === QUOTE &&
    source[contentEnd + 1] === COMMA &&
    source[contentEnd + 3] === 0x73 &&
    source[at - 9] === QUOTE &&
    source[at - 8] === COMMA &&
    source[at - 6] === 0x74 &&
    source[start + 2] === 0x6c &&
    source[start + prefixSize - 1] === QUOTE;
  return plain ? at + 1 : -1;
}

/** "2026-01-02T03:04:05.6Z" with nine digits, which sorts as text. */
export function padded(time: string): string {
  const dot = time.indexOf(".");
  if (dot < 0) return `${time.slice(0, 19)}.000000000Z`;
  return `${time.slice(0, dot + 1)}${time.slice(dot + 1, -1).padEnd(9, "0")}Z`;
}

function putStamp(out: Buffer, at: number, source: Buffer, from: number, to: number): number {
  const begin = at;
  const digitsEnd = to - 1;
  for (let i = from; i < digitsEnd; i++) out[at++] = source[i] ?? 0;
  if (at - begin === 19) out[at++] = 0x2e;
  while (at - begin < 29) out[at++] = 0x30;
  out[at++] = 0x5a;
  out[at++] = SPACE;
  return at;
}

const simple = new Uint8Array(128);
for (const [letter, code] of [
  ["n", 10],
  ["t", 9],
  ["r", 13],
  ["b", 8],
  ["f", 12],
  ['"', 34],
  ["\\", 92],
  ["/", 47],
] as const) {
  simple[letter.charCodeAt(0)] = code;
}

/** The bytes of a JSON string's inside. Returns where it ended in `out`. */
function unescapeInto(source: Buffer, from: number, to: number, out: Buffer, at: number): number {
  for (let i = from; i < to; i++) {
    const byte = source[i] as number;
    if (byte !== BACKSLASH) {
      out[at++] = byte;
      continue;
    }
    const letter = source[++i] as number;
    if (letter !== 0x75) {
      out[at++] = simple[letter & 127] as number;
      continue;
    }
    let code = Number.parseInt(source.toString("latin1", i + 1, i + 5), 16);
    i += 4;
    // Two halves of a character beyond the first plane.
    if (code >= 0xd800 && code < 0xdc00 && source[i + 1] === BACKSLASH && source[i + 2] === 0x75) {
      const low = Number.parseInt(source.toString("latin1", i + 3, i + 7), 16);
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        i += 6;
      }
    }
    at = putUtf8(out, at, code);
  }
  return at;
}

function putUtf8(out: Buffer, at: number, code: number): number {
  if (code < 0x80) out[at++] = code;
  else if (code < 0x800) {
    out[at++] = 0xc0 | (code >> 6);
    out[at++] = 0x80 | (code & 63);
  } else if (code < 0x10000) {
    out[at++] = 0xe0 | (code >> 12);
    out[at++] = 0x80 | ((code >> 6) & 63);
    out[at++] = 0x80 | (code & 63);
  } else {
    out[at++] = 0xf0 | (code >> 18);
    out[at++] = 0x80 | ((code >> 12) & 63);
    out[at++] = 0x80 | ((code >> 6) & 63);
    out[at++] = 0x80 | (code & 63);
  }
  return at;
}
