import { expect, test } from "vitest";
import { Unframer } from "../src/http/websocket.ts";

const frame = (stream: number, text: string): Buffer => {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
};

test.each([1, 3, 8, 9, 1000])("frames are taken off, whatever pieces of %i bytes they come in", async (size) => {
  const bytes = Buffer.concat([frame(1, "one\n"), frame(2, ""), frame(2, "two\n"), frame(1, "x".repeat(300))]);
  const unframer = new Unframer();
  const out: Buffer[] = [];
  unframer.on("data", (data: Buffer) => out.push(data));
  for (let at = 0; at < bytes.length; at += size) unframer.write(bytes.subarray(at, at + size));
  unframer.end();
  await new Promise((resolve) => unframer.once("end", resolve));
  expect(Buffer.concat(out).toString()).toBe(`one\ntwo\n${"x".repeat(300)}`);
});
