import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { addImage, openTestStore } from "./support.ts";

const child = join(import.meta.dirname, "crash-child.ts");

/** Runs the scenario of crash-child.ts in a process that dies at `point`. @returns what it had said before */
function dieAt(dir: string, point: string): Promise<{ said: string[]; signal: string | null }> {
  const process_ = spawn(process.execPath, [child, dir, point], { stdio: ["ignore", "pipe", "inherit"] });
  const chunks: Buffer[] = [];
  process_.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve) => {
    process_.once("close", (_code, signal) =>
      resolve({ said: Buffer.concat(chunks).toString().split("\n").filter(Boolean), signal }),
    );
  });
}

const points = [
  "blob.written",
  "blob.synced",
  "blob.renamed",
  "blob.durable",
  "manifest.blob",
  "manifest.record",
  "tag.before",
  "tag.after",
  "remove.before",
  "remove.after",
  "gc.records",
  "gc.blob",
];

describe("a store that dies between two writes", () => {
  it.each(points)("at %s: opens again, has what it acknowledged, and nothing half-made", async (point) => {
    const dir = mkdtempSync(join(tmpdir(), "berth-crash-"));
    try {
      const { said, signal } = await dieAt(dir, point);
      expect(signal, `died before the end: ${said}`).toBe("SIGKILL");
      const store = await openTestStore(dir);
      try {
        for await (const { digest } of store.blobs.list()) expect(await store.blobs.verify(digest), digest).toBe(true);
        expect(readdirSync(store.blobs.layout.uploads).filter((name) => name.startsWith("anonymous-"))).toEqual([]);
        // What was said was done; what was not said may or may not be, but wholly.
        const image = await store.images.get("x").catch(() => undefined);
        if (said.includes("tagged") && !said.includes("removing")) expect(image).toBeDefined();
        if (said.includes("removed")) expect(image).toBeUndefined();
        if (image !== undefined) {
          const { manifests, layers } = image.image;
          await store.content.getManifest(manifests[0] ?? "");
          for (const { blob } of layers) expect(await store.blobs.size(blob.digest)).toBe(blob.size);
        }
        await store.leases.expire(Date.now() + 100_000);
        await store.housekeeper.now();
        expect(await Array.fromAsync(store.blobs.list())).toHaveLength(image === undefined ? 0 : 4);
        // And everything goes on as if nothing had been.
        const { manifest } = await addImage(store, { content: ["a", "b"] });
        await store.images.tag(manifest, "y", "");
        expect((await store.images.get("y")).image.manifests).toEqual([manifest]);
      } finally {
        await store.close();
      }
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
