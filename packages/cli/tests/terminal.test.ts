import { Writable } from "node:stream";
import { expect, it } from "vitest";
import { demultiplex } from "../src/terminal.ts";

const frame = (stream: number, text: string) => {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(text.length, 4);
  return Buffer.concat([header, Buffer.from(text)]);
};

it.each([1, 2, 3, 5, 7, 8, 9, 11, 1000])("frames cut into pieces of %d bytes come out whole", async (size) => {
  const all = Buffer.concat([frame(1, "one\n"), frame(2, "error\n"), frame(1, ""), frame(1, "two and three\n")]);
  const pieces = async function* () {
    for (let at = 0; at < all.length; at += size) yield all.subarray(at, at + size);
  };
  const texts = { stdout: "", stderr: "" };
  const sink = (name: keyof typeof texts) =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        texts[name] += chunk.toString();
        done();
      },
    });
  await demultiplex(pieces(), { stdout: sink("stdout"), stderr: sink("stderr") });
  expect(texts).toEqual({ stdout: "one\ntwo and three\n", stderr: "error\n" });
});
