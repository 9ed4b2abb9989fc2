// The image store's domain over a real directory and a real Level, without a bus: events are kept in a list.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { digestOf, MediaType } from "@berth/oci";
import { openStore } from "@berth/store";
import { pack } from "tar-stream";
import { type ImageStoreParts, openParts } from "../src/context.ts";
import type { ImageEvent } from "../src/domain/records.ts";
import { levelRecords } from "../src/store/records.ts";

export interface TestStore extends ImageStoreParts {
  dir: string;
  events: ImageEvent[];
  close(): Promise<void>;
}

export async function openTestStore(
  dir = mkdtempSync(join(tmpdir(), "berth-images-")),
  faultPoint?: string,
): Promise<TestStore> {
  const store = await openStore(join(dir, "records"));
  const events: ImageEvent[] = [];
  const kept = store.table<ImageEvent>("events");
  const records = levelRecords(store, (event) => ({
    ...kept.putOp(`${Date.now()}-${Math.random()}`, event),
    committed: () => events.push(event),
  }));
  const parts = await openParts(dir, records, faultPoint);
  return {
    ...parts,
    dir,
    events,
    async close() {
      await parts.housekeeper.close();
      await store.close();
    },
  };
}

export function removeTestStore({ dir }: TestStore): void {
  rmSync(dir, { recursive: true, force: true });
}

/** A tar of files. */
export async function tarOf(
  files: Record<string, string | Buffer | { link: string } | { symlink: string }>,
): Promise<Buffer> {
  const tar = pack();
  // The same files are the same tar at any time.
  const mtime = new Date(0);
  for (const [name, content] of Object.entries(files)) {
    if (typeof content === "string" || Buffer.isBuffer(content)) tar.entry({ name, mtime }, content);
    else if ("link" in content) tar.entry({ name, mtime, type: "link", linkname: content.link });
    else tar.entry({ name, mtime, type: "symlink", linkname: content.symlink });
  }
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export interface MadeImage {
  id: string;
  manifest: string;
  layers: string[];
}

export interface ImageSpec {
  content: string[];
  labels?: Record<string, string>;
  created?: string;
  parent?: string;
  architecture?: string;
  lease?: string;
}

/** Puts an image's content into the store, without a name. */
export async function addImage(store: TestStore, spec: ImageSpec): Promise<MadeImage> {
  const tars = await Promise.all(spec.content.map((text) => tarOf({ [text]: text })));
  const config = {
    created: spec.created ?? "2024-01-01T00:00:00Z",
    architecture: spec.architecture ?? "amd64",
    os: "linux",
    ...(spec.parent && { parent: spec.parent }),
    config: { Labels: spec.labels ?? {} },
    rootfs: { type: "layers", diff_ids: tars.map(digestOf) },
  };
  const put = async (content: Buffer, mediaType: string) => {
    await store.leases.hold(spec.lease ?? "", [digestOf(content)]);
    return { mediaType, ...(await store.blobs.put(content)) };
  };
  const layers = [];
  for (const tar of tars) layers.push(await put(gzipSync(tar), MediaType.ociLayerGzip));
  const configBlob = await put(Buffer.from(JSON.stringify(config)), MediaType.ociConfig);
  const manifest = { schemaVersion: 2, mediaType: MediaType.ociManifest, config: configBlob, layers };
  const { digest } = await store.content.putManifest("", Buffer.from(JSON.stringify(manifest)), "", spec.lease ?? "");
  return { id: configBlob.digest, manifest: digest, layers: layers.map((layer) => layer.digest) };
}
