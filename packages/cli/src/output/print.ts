import type { Writable } from "node:stream";

/** Writes and waits until a slow reader has room again. */
export function printTo(stream: Writable, data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const isRoom = stream.write(data, (error) => {
      if (error) reject(error);
      else if (!isRoom) resolve();
    });
    if (isRoom) resolve();
  });
}

/** Colour for a terminal, plain text for everything else (NO_COLOR: no-color.org). */
export function bold(text: string, stream: { isTTY?: boolean } = process.stdout): string {
  return stream.isTTY === true && !process.env["NO_COLOR"] ? `\u001b[1m${text}\u001b[22m` : text;
}
