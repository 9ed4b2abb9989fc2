/** Which of a container's two outputs. */
export type OutputName = "stdout" | "stderr";

export interface OutputPiece {
  stream: OutputName;
  data: Buffer;
}

/** A frame's head: the stream's number, three noughts, the length of what follows in four bytes. */
const headBytes = 8;
const names: readonly OutputName[] = ["stdout", "stdout", "stderr"];

/**
 * Takes a container's output apart (Engine API, "Attach to a container", "Stream format"). Frames may be cut anywhere; what there is of one is
 * given at once. A terminal's output has no frames, and is all stdout.
 */
export class FrameReader {
  readonly #raw: boolean;
  #head = Buffer.alloc(0);
  #stream: OutputName = "stdout";
  /** bytes of the frame that are to come */
  #left = 0;

  constructor(tty: boolean) {
    this.#raw = tty;
  }

  *read(data: Buffer): Generator<OutputPiece> {
    if (this.#raw) {
      if (data.length > 0) yield { stream: "stdout", data };
      return;
    }
    let rest = data;
    while (rest.length > 0) {
      if (this.#left === 0) {
        rest = this.#readHead(rest);
        continue;
      }
      const piece = rest.subarray(0, this.#left);
      this.#left -= piece.length;
      rest = rest.subarray(piece.length);
      yield { stream: this.#stream, data: piece };
    }
  }

  #readHead(data: Buffer): Buffer {
    const missing = headBytes - this.#head.length;
    this.#head = Buffer.concat([this.#head, data.subarray(0, missing)]);
    if (this.#head.length === headBytes) {
      this.#stream = names[this.#head.readUInt8(0)] ?? "stdout";
      this.#left = this.#head.readUInt32BE(4);
      this.#head = Buffer.alloc(0);
    }
    return data.subarray(missing);
  }
}
