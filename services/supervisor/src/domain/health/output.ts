/** Bytes of a probe's output that are kept; Docker's bound. */
const maxOutput = 4096;
const frameHeader = 8;

/** Takes a monitor's framed stream and keeps the first bytes of both outputs, in the order in which they came. */
export class ProbeOutput {
  #kept: Buffer[] = [];
  #size = 0;
  #truncated = false;
  #header = Buffer.alloc(0);
  /** Of the frame that is being read. */
  #left = 0;

  push(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#left === 0) rest = this.#readHeader(rest);
      const payload = rest.subarray(0, this.#left);
      this.#keep(payload);
      this.#left -= payload.length;
      rest = rest.subarray(payload.length);
    }
  }

  /** Invalid UTF-8 is replaced; cut output ends in dots. */
  text(): string {
    return Buffer.concat(this.#kept).toString("utf8") + (this.#truncated ? "..." : "");
  }

  #readHeader(chunk: Buffer): Buffer {
    const missing = frameHeader - this.#header.length;
    const header = Buffer.concat([this.#header, chunk.subarray(0, missing)]);
    if (header.length < frameHeader) this.#header = header;
    else {
      this.#header = Buffer.alloc(0);
      this.#left = header.readUInt32BE(4);
    }
    return chunk.subarray(missing);
  }

  #keep(payload: Buffer): void {
    const room = maxOutput - this.#size;
    if (payload.length > room) this.#truncated = true;
    const part = payload.subarray(0, room);
    if (part.length === 0) return;
    this.#kept.push(Buffer.from(part));
    this.#size += part.length;
  }
}
