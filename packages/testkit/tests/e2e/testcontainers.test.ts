// testcontainers (the npm package, unchanged) starts, waits for and tears down containers on this engine.
// Its reaper is an image of its own that is not to be had offline: it is off, and what stop() removes is checked here.
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Bed, must, openBed } from "../../src/index.ts";

let bed: Bed;
beforeAll(async () => {
  bed = await openBed();
});
afterAll(() => bed.close());

it("waits by log, port and health, copies in, executes, restarts, and leaves nothing", async () => {
  const image = await bed.push("busybox");
  const env = {
    ...process.env,
    DOCKER_HOST: `unix://${bed.engine.socket}`,
    DOCKER_CONFIG: join(bed.work, "docker-config"),
    TESTCONTAINERS_RYUK_DISABLED: "true",
  };
  const user = join(import.meta.dirname, "testcontainers-user.ts");
  const text = await must([...bed.netns.enter, process.execPath, user, image], { env, timeoutMs: 100_000 });
  const said = JSON.parse(text.trim().split("\n").at(-1) ?? "") as Record<string, unknown> & { ids: string[] };
  expect(said).toMatchObject({
    pages: ["hello", "hello"],
    note: "copied in",
    greeting: ["good day", 3],
    logs: "ready",
    again: "hello",
  });
  for (const id of said.ids) expect((await bed.api.call("GET", `/containers/${id}/json`)).status).toBe(404);
});
