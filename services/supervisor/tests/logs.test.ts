import { readFileSync } from "node:fs";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { closeAll, openAll, openSuccessor } from "../src/domain/logs/files.ts";
import { type FormatOptions, LogFormatter, padded } from "../src/domain/logs/format.ts";
import { findTail, jsonRecords } from "../src/domain/logs/records.ts";

const plain: FormatOptions = {
  stdout: true,
  stderr: true,
  timestamps: false,
  details: false,
  framed: false,
  since: undefined,
  until: undefined,
};

function format(line: string, options: Partial<FormatOptions> = {}): string {
  const formatter = new LogFormatter({ ...plain, ...options });
  const bytes = Buffer.from(line);
  formatter.add(bytes, 0, bytes.length);
  return formatter.take().toString("utf8");
}

const line = (log: string, stream = "stdout", time = "2026-01-02T03:04:05.678Z") =>
  JSON.stringify({ log, stream, time });

test("every text comes out as it went in", () => {
  for (const text of [
    "a\n",
    "",
    'tab\tquote"back\\slash\n',
    "ä€😀\n",
    '","stream":"stdout","time":"x"',
    "\u0001\u001f\b\f\r",
    "{}",
  ]) {
    expect(format(line(text))).toBe(text);
    // As Go writes what JavaScript leaves: escaped angle brackets, line separators, characters beyond the first plane.
    const escaped = line(text).replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
    expect(format(escaped)).toBe(text);
  }
});

test("streams, frames, timestamps, ranges, details", () => {
  expect(format(line("x", "stderr"), { stderr: false })).toBe("");
  expect(Buffer.from(format(line("abc\n", "stderr"), { framed: true }), "latin1")).toEqual(
    Buffer.from([2, 0, 0, 0, 0, 0, 0, 4, 97, 98, 99, 10]),
  );
  expect(format(line("x"), { timestamps: true })).toBe("2026-01-02T03:04:05.678000000Z x");
  expect(format(line("x", "stdout", "2026-01-02T03:04:05Z"), { timestamps: true })).toBe(
    "2026-01-02T03:04:05.000000000Z x",
  );
  const border = padded("2026-01-02T03:04:05.678Z");
  expect(format(line("x"), { since: border, until: border })).toBe("x");
  expect(format(line("x"), { since: "2026-01-02T03:04:05.678000001Z" })).toBe("");
  expect(format(line("x"), { until: "2026-01-02T03:04:05.677999999Z" })).toBe("");
  expect(format(line("x"), { details: true })).toBe(" x");
  expect(
    format('{"log":"x","stream":"stdout","attrs":{"b":"2","a":"1 "},"time":"2026-01-02T03:04:05Z"}', { details: true }),
  ).toBe("a=1+,b=2 x");
});

test("what is no log line is left out", () => {
  for (const text of ["", "{", "[]", '{"log":1,"time":"x"}', '{"log":"torn', "x".repeat(100)])
    expect(format(text)).toBe("");
});

test("the last lines over rotated files, and the file that follows one", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sup-log-"));
  const path = join(dir, "l");
  await writeFile(`${path}.2`, "1\n2\n3\n");
  await writeFile(`${path}.1`, `4\n${"5".repeat(200_000)}\n`);
  await writeFile(path, "6\n7\n");
  const files = openAll(path);
  expect(files).toHaveLength(3);
  expect(await findTail(files, jsonRecords, 1, 4)).toEqual({ index: 2, offset: 2 });
  expect(await findTail(files, jsonRecords, 2, 4)).toEqual({ index: 2, offset: 0 });
  expect(await findTail(files, jsonRecords, 3, 4)).toEqual({ index: 1, offset: 2 });
  expect(await findTail(files, jsonRecords, 5, 4)).toEqual({ index: 0, offset: 4 });
  expect(await findTail(files, jsonRecords, 99, 4)).toEqual({ index: 0, offset: 0 });
  const [, , current] = files;
  if (!current) throw new Error("no file");
  expect(openSuccessor(path, current.id)).toBeUndefined();
  await rename(path, `${path}.1`);
  await writeFile(path, "8\n");
  const next = openSuccessor(path, current.id);
  expect(next && readFileSync(next.fd, "utf8")).toBe("8\n");
  closeAll([...files, ...(next ? [next] : [])]);
  await rm(dir, { recursive: true });
});
