import { expect, test } from "vitest";
import { ramInBytes } from "../src/index.ts";

test.each([
  ["4096", 4096],
  ["0", 0],
  ["10G", 10 * 1024 ** 3],
  ["1.5g", 1.5 * 1024 ** 3],
  ["1.5 GiB", 1.5 * 1024 ** 3],
  ["512kb", 512 * 1024],
  ["7B", 7],
  [".5m", 512 * 1024],
])("a size %s", (text, bytes) => {
  expect(ramInBytes(text)).toBe(bytes);
});

// In the words of go-units, as Docker passes them on.
test.each([
  ["", "invalid size: ''"],
  ["abc", "invalid size: 'abc'"],
  ["-1", "invalid size: '-1'"],
  ["10Z", "invalid suffix: 'z'"],
  ["10kbb", "invalid suffix: 'kbb'"],
  ["10bytes", "invalid suffix: 'bytes'"],
  ["1.2.3", 'strconv.ParseFloat: parsing "1.2.3": invalid syntax'],
  ["99999999P", "invalid size: '99999999P'"],
])("no size %j", (text, why) => {
  expect(() => ramInBytes(text)).toThrow(why);
});
