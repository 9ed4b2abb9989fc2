import { expect, test } from "vitest";
import { textOrPattern } from "../src/domain/pattern.ts";

test.each([
  ["web", "/web-1", true],
  ["^/web", "/my-web", false],
  ["(?i)WEB", "/web", true],
  ["we[bt]$", "/wet", true],
  ["a.c", "abc", true],
  ["[", "[", true],
  ["[", "x[", false],
  ["a**", "aaa", false],
  ["", "anything", true],
])("%s in %s: %s", (value, text, want) => {
  expect(textOrPattern(value)(text)).toBe(want);
});

test("an expression made to be slow is not", () => {
  const matches = textOrPattern("(a+)+$");
  const began = performance.now();
  expect(matches(`${"a".repeat(250)}!`)).toBe(false);
  expect(performance.now() - began).toBeLessThan(1_000);
});
