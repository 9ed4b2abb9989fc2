import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ImageStoreDefinition } from "@berth/api/images";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createClients } from "../src/index.ts";

const dir = mkdtempSync(join(tmpdir(), "berth-outflow-"));
const address = `unix:${dir}/s.sock`;
const server = fork(join(import.meta.dirname, "echo-server.ts"), [address]);

beforeAll(() => new Promise((resolve) => server.once("message", resolve)));
afterAll(() => {
  server.kill();
  rmSync(dir, { recursive: true });
});

it("thousands of calls at once are all answered, over one connection", async () => {
  const clients = createClients(undefined, { hostId: "h" });
  const store = clients.at(ImageStoreDefinition, address);
  for (let i = 0; i < 5; i++) await store.getImage({ reference: "first" });
  const reference = "x".repeat(300);
  const asked = Array.from({ length: 3_000 }, () => store.getImage({ reference }, { timeoutMs: 10_000 }));
  const ends = await Promise.allSettled(asked);
  expect(ends.filter(({ status }) => status === "rejected")).toEqual([]);
  clients.close();
}, 20_000);

it("calls that take their time hold up no others for long", async () => {
  const clients = createClients(undefined, { hostId: "h" });
  const store = clients.at(ImageStoreDefinition, address);
  // More than a connection may owe, none of which is answered while the test lasts.
  const leaving = new AbortController();
  const { signal } = leaving;
  const slow = Array.from({ length: 5 }, () => store.getImage({ reference: "slow".repeat(10_000) }, { signal }));
  const begun = performance.now();
  expect((await store.getImage({ reference: "quick" })).image?.id).toBe("quick");
  expect(performance.now() - begun).toBeLessThan(5_000);
  leaving.abort();
  for (const end of await Promise.allSettled(slow)) expect(end).toMatchObject({ reason: { reason: "CANCELLED" } });
  clients.close();
});
