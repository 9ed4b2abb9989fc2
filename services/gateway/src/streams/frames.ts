import { Transform, type TransformCallback } from "node:stream";
import type { PeerStream } from "../http/hijack.ts";
import { lingerThenClose } from "./local.ts";

/** Puts everything written into frames of stdout (Engine API, "Attach to a container": eight bytes of header each). */
class StdoutFramer extends Transform {
  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const header = Buffer.alloc(8);
    header[0] = 1;
    header.writeUInt32BE(chunk.length, 4);
    // A copy: the writer uses its buffer again as soon as we have taken the chunk.
    done(null, Buffer.concat([header, chunk]));
  }
}

/** The same client, who is to get a terminal's raw output in frames. */
export function framedOutput(stream: PeerStream): PeerStream {
  const output = new StdoutFramer();
  output.pipe(stream.output, { end: false });
  output.once("end", () => {
    if (stream.socket === undefined) stream.output.end();
    else void lingerThenClose(stream.socket);
  });
  return { input: stream.input, output, socket: undefined };
}
