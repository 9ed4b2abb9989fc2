import type { Duplex, Writable } from "node:stream";
import type { Engine } from "./engine/client.ts";
import { printTo } from "./output/print.ts";

/** Of a frame. */
const headerBytes = 8;

/** Ctrl-P Ctrl-Q, or keys written "ctrl-a,x". undefined: not readable. */
export function parseDetachKeys(text: string | undefined): Buffer | undefined {
  if (text === undefined || text === "") return Buffer.from([16, 17]);
  const bytes = text.split(",").map((key) => {
    if (key.length === 1) return key.charCodeAt(0);
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1];
    return control === undefined ? undefined : control.toUpperCase().charCodeAt(0) & 31;
  });
  return bytes.some((byte) => byte === undefined) ? undefined : Buffer.from(bytes as number[]);
}

export interface JoinOptions {
  socket: Duplex;
  /** Output comes in frames (no terminal in the container). */
  framed: boolean;
  stdin: boolean;
  tty: boolean;
  detachKeys: Buffer;
}

/**
 * Joins this process's streams with a container's until the container's end. The end of our stdin is passed on alone.
 * Resolves to true when the user typed the detach keys.
 */
export async function joinStreams({ socket, framed, stdin, tty, detachKeys }: JoinOptions): Promise<boolean> {
  const restore = tty && stdin ? rawMode() : () => {};
  let detached = false;
  const ended = new Promise<void>((resolve, reject) => {
    socket.once("end", resolve);
    socket.once("close", resolve);
    socket.once("error", reject);
    const leave = () => {
      detached = true;
      resolve();
    };
    if (stdin) sendInput(socket, tty ? detachKeys : undefined, leave);
  });
  try {
    const printed = framed ? demultiplex(socket) : drain(socket);
    await Promise.race([Promise.all([printed, ended]), ended.then(() => (detached ? undefined : printed))]);
  } finally {
    restore();
    process.stdin.pause();
    process.stdin.unref?.();
    socket.destroy();
  }
  return detached;
}

function sendInput(socket: Duplex, keys: Buffer | undefined, leave: () => void): void {
  let matched = 0;
  process.stdin.on("data", (chunk: Buffer) => {
    if (keys !== undefined) {
      for (const byte of chunk) {
        matched = byte === keys[matched] ? matched + 1 : byte === keys[0] ? 1 : 0;
        if (matched === keys.length) return leave();
      }
    }
    if (!socket.destroyed && !socket.write(chunk)) {
      process.stdin.pause();
      socket.once("drain", () => process.stdin.resume());
    }
  });
  process.stdin.once("end", () => socket.end());
}

async function drain(socket: Duplex): Promise<void> {
  for await (const chunk of socket as AsyncIterable<Buffer>) await printTo(process.stdout, chunk);
}

/** Docker's frames (stream, three zeros, length in big-endian, bytes), however they are cut, to stdout and stderr. */
export async function demultiplex(
  source: AsyncIterable<Buffer>,
  outputs: { stdout: Writable; stderr: Writable } = process,
): Promise<void> {
  let header = Buffer.alloc(0);
  let left = 0;
  let target: Writable = outputs.stdout;
  for await (const piece of source) {
    for (let chunk: Buffer = piece; chunk.length > 0; ) {
      if (left > 0) {
        const part = chunk.subarray(0, left);
        await printTo(target, part);
        left -= part.length;
        chunk = chunk.subarray(part.length);
        continue;
      }
      const missing = headerBytes - header.length;
      header = Buffer.concat([header, chunk.subarray(0, missing)]);
      chunk = chunk.subarray(missing);
      if (header.length < headerBytes) break;
      target = header[0] === 2 ? outputs.stderr : outputs.stdout;
      left = header.readUInt32BE(4);
      header = Buffer.alloc(0);
    }
  }
}

function rawMode(): () => void {
  if (!process.stdin.isTTY) return () => {};
  process.stdin.setRawMode(true);
  return () => process.stdin.setRawMode(false);
}

/** Tells the container's terminal our size, now and whenever it changes. `path` is .../resize. */
export function followResize(engine: Engine, path: string): () => void {
  if (!process.stdout.isTTY) return () => {};
  const send = () => {
    const { columns, rows } = process.stdout;
    // A terminal that is not there yet, or no longer, needs no size.
    void engine.run("POST", path, { query: { h: rows, w: columns } }).catch(() => {});
  };
  send();
  process.stdout.on("resize", send);
  return () => process.stdout.off("resize", send);
}
