import { expect, test } from "vitest";
import { parseGoDuration, parseMoment } from "../src/http/moment.ts";

const now = Date.UTC(2026, 0, 2, 3, 4, 5);
const seconds = now / 1000;

test.each([
  ["10m", 600],
  ["1h30m", 5400],
  ["1.5h", 5400],
  ["-5m", -300],
  ["300ms", 0.3],
  ["0s", 0],
])("the duration %s is %d seconds", (text, expected) => {
  expect(parseGoDuration(text)).toBeCloseTo(expected);
});

test.each(["", "5", "h", "1d", "1h-5m", "1 h", "1e3s"])("%j is no duration", (text) => {
  expect(parseGoDuration(text)).toBeUndefined();
});

test.each([
  ["10m", seconds - 600],
  ["0", 0],
  ["1136073600.5", 1136073600.5],
  ["2006-01-02T15:04:05Z", 1136214245],
  ["2006-01-02T15:04:05.5+01:00", 1136210645.5],
  ["2006-01-02T15:04Z", 1136214240],
])("the moment %s", (text, expected) => {
  expect(parseMoment(text, now)).toBe(expected);
});

test("a date without a zone is of the engine's own", () => {
  expect(parseMoment("2006-01-02", now)).toBe(new Date(2006, 0, 2).getTime() / 1000);
});

test.each(["abc", "1d", "2006-13-45", "--", "1.2.3"])("%j is no moment", (text) => {
  expect(() => parseMoment(text, now)).toThrow(`failed to parse value as time or duration: "${text}"`);
});
