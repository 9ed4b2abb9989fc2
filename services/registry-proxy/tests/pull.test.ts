import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LayerStatus, type PullResponse } from "@berth/api/registry";
import { pushBusybox, type Registry, startRegistry } from "@berth/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Running, startServices } from "./support/services.ts";

let dir: string;
let registry: Registry;
let services: Running;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "berth-pull-"));
  registry = await startRegistry({ dir, port: 5117 });
  await pushBusybox(registry.host);
  services = await startServices();
}, 30_000);
afterAll(async () => {
  await services?.close();
  await registry?.stop();
  rmSync(dir, { recursive: true, force: true });
});

type Case = NonNullable<PullResponse["message"]>["$case"];

async function pull(
  reference: string,
): Promise<{ [C in Case]: Extract<NonNullable<PullResponse["message"]>, { $case: C }>["value"][] }> {
  const seen = { resolved: [], plan: [], layer: [], done: [] } as Record<Case, unknown[]>;
  for await (const { message } of services.proxy.pull({ reference }))
    if (message) seen[message.$case].push(message.value);
  return seen as never;
}

describe("a pull from a real registry", () => {
  it("brings the image into the store, named", async () => {
    const name = `${registry.host}/busybox`;
    const { resolved, plan, layer, done } = await pull(name);
    expect(resolved).toMatchObject([{ name, tag: "latest" }]);
    expect(plan[0]?.layers).toHaveLength(1);
    expect(layer.map(({ status }) => status)).toContain(LayerStatus.DOWNLOADED);
    expect(done).toMatchObject([{ changed: true, digest: resolved[0]?.descriptor?.digest, imageId: plan[0]?.imageId }]);
    const { image } = await services.images.getImage({ reference: name });
    expect(image).toMatchObject({ repoTags: [`${name}:latest`], repoDigests: [`${name}@${done[0]?.digest}`] });
    const again = await pull(name);
    expect(again.done[0]?.changed).toBe(false);
    expect(again.layer.map(({ status }) => status)).toEqual([LayerStatus.EXISTS]);
  });
});
