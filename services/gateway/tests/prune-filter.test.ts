import { describe, expect, it } from "vitest";
import { idempotentRequest } from "../src/domain/idempotency.ts";
import { passesLabels, untilFilter } from "../src/domain/prune-filter.ts";

describe("filters of the prunes", () => {
  it("there is one at most", () => {
    expect(() => untilFilter(new Map([["until", ["1h", "2h"]]]))).toThrow("more than one until filter specified");
    expect(untilFilter(new Map())).toBe(Number.POSITIVE_INFINITY);
  });
  it("labels narrow each other down", () => {
    const pass = (label: string[], not: string[]) =>
      passesLabels(
        { a: "1", b: "" },
        new Map([
          ["label", label],
          ["label!", not],
        ]),
      );
    expect([pass(["a", "b="], []), pass(["a=2"], []), pass([], ["b"]), pass([], ["a=2"])]).toEqual([
      true,
      false,
      false,
      true,
    ]);
  });
});

describe("Idempotency-Key", () => {
  it("tells the same request from another", () => {
    const one = idempotentRequest("k", ["name", Buffer.from("{}")]);
    expect(idempotentRequest("k", ["name", Buffer.from("{}")])).toEqual(one);
    expect(idempotentRequest("k", ["nam", Buffer.from("e{}")])?.digest).not.toBe(one?.digest);
    expect(idempotentRequest("l", ["name", Buffer.from("{}")])?.key).not.toBe(one?.key);
    expect(idempotentRequest(undefined, [])).toBeUndefined();
  });
  it.each(["", "a b", "é", "x".repeat(256)])("%j is refused", (header) => {
    expect(() => idempotentRequest(header, [])).toThrow("invalid Idempotency-Key header");
  });
});
