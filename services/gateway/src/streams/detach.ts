import { Transform, type TransformCallback } from "node:stream";
import { BerthError } from "@berth/errors";

/** ctrl-p ctrl-q */
const defaultKeys = Buffer.from([16, 17]);

/**
 * Reads "ctrl-p,ctrl-q" or "a,b" into the bytes a terminal sends; Docker's default for "".
 * @throws INVALID_ARGUMENT `Invalid detach keys (x) provided`
 */
export function parseDetachKeys(text: string): Buffer {
  if (text === "") return defaultKeys;
  const bytes = text.split(",").map((key) => keyByte(key));
  if (bytes.some((byte) => byte === undefined) || text.length > 256) {
    throw new BerthError("INVALID_ARGUMENT", `Invalid detach keys (${text.slice(0, 256)}) provided`);
  }
  return Buffer.from(bytes as number[]);
}

function keyByte(key: string): number | undefined {
  if (key.length === 1) return key.charCodeAt(0);
  if (key === "DEL") return 127;
  const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1];
  // A terminal's control characters are the letter's low five bits.
  return control === undefined ? undefined : control.toUpperCase().charCodeAt(0) & 31;
}

/**
 * Passes a terminal's input on until the detach keys come in a row; they are swallowed, and "detach" is emitted. Keys
 * that begin the sequence are held back until it is clear that it is not one.
 */
export class DetachFilter extends Transform {
  readonly #keys: Buffer;
  #matched = 0;

  constructor(keys: Buffer) {
    super();
    this.#keys = keys;
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    const out: number[] = [];
    for (const byte of chunk) {
      if (byte === this.#keys[this.#matched]) {
        this.#matched += 1;
        if (this.#matched < this.#keys.length) continue;
        if (out.length > 0) this.push(Buffer.from(out));
        this.emit("detach");
        done();
        return;
      }
      out.push(...this.#keys.subarray(0, this.#matched));
      this.#matched = byte === this.#keys[0] ? 1 : 0;
      if (this.#matched === 0) out.push(byte);
    }
    if (out.length > 0) this.push(Buffer.from(out));
    done();
  }

  override _flush(done: TransformCallback): void {
    if (this.#matched > 0) this.push(this.#keys.subarray(0, this.#matched));
    done();
  }
}
