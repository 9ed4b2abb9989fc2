import { randomBytes } from "node:crypto";
import { digestOf } from "@berth/oci";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { imageStoreSink } from "../src/rpc/sink.ts";
import { type Running, startServices } from "./support/services.ts";

let services: Running;
const { signal } = new AbortController();

beforeAll(async () => {
  services = await startServices();
}, 30_000);
afterAll(() => services?.close(), 30_000);

/** The same uploads both ways: bytes over the store's socket for a caller on its host, by gRPC for one elsewhere. */
describe.each(["testhost", "elsewhere"])("an upload from host %s", (hostId) => {
  const content = randomBytes(5_000_000);
  const digest = digestOf(content);
  const start = (size = content.length) => ({ digest, size, lease: "" });
  const open = (size?: number) => imageStoreSink(services.clients, hostId).writeBlob(start(size), signal);

  it("is refused when the bytes are wrong, too many or too few", async () => {
    const wrong = await open();
    await wrong.write(Buffer.alloc(content.length));
    await expect(wrong.commit()).rejects.toMatchObject({ reason: "DATA_LOSS" });
    const long = await open();
    const writing = (async () => {
      for (let i = 0; i < 10; i++) await long.write(Buffer.alloc(1_000_000));
      await long.commit();
    })();
    await expect(writing).rejects.toMatchObject({ reason: "DATA_LOSS" });
    await long.abort();
    const short = await open();
    await short.write(Buffer.from(content.subarray(0, 2_000_000)));
    await expect(short.commit()).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
  });

  it("is resumed, and then there", async () => {
    const first = await open();
    expect(first.offset).toBe(2_000_000);
    await first.write(Buffer.from(content.subarray(2_000_000, 3_000_000)));
    await first.abort();
    const second = await open();
    expect(second.offset).toBeGreaterThanOrEqual(2_000_000);
    for (let at = second.offset; at < content.length; at += 100_000) {
      await second.write(Buffer.from(content.subarray(at, at + 100_000)));
    }
    await second.commit();
    const third = await open();
    expect(third.offset).toBe(content.length);
    await third.commit();
    expect(await imageStoreSink(services.clients, hostId).blobSize(digest, signal)).toBe(content.length);
  });
});
