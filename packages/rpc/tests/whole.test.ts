import { expect, it } from "vitest";
import { markEnd, untilEnd } from "../src/index.ts";

async function* of(...pieces: string[]) {
  for (const piece of pieces) yield Buffer.from(piece);
}

it("a body that is whole comes through, empty pieces left out", async () => {
  expect((await Array.fromAsync(untilEnd(markEnd(of("a", "", "b"))))).map(String)).toEqual(["a", "b"]);
  expect(await Array.fromAsync(untilEnd(markEnd(of())))).toEqual([]);
});

it("a body that ends without its mark was broken off", async () => {
  await expect(Array.fromAsync(untilEnd(of("a")))).rejects.toMatchObject({ reason: "CANCELLED" });
  await expect(Array.fromAsync(untilEnd(of()))).rejects.toMatchObject({ reason: "CANCELLED" });
});
