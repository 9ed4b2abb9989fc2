import type { Digest } from "@berth/oci";
import type { BlobStore } from "./blobs/blob-store.ts";
import type { Catalog } from "./catalog.ts";
import type { Content } from "./content.ts";
import type { Fault } from "./fault.ts";
import type { Leases } from "./leases.ts";
import type { Gate } from "./locks.ts";
import type { Change } from "./records.ts";

export interface CollectorParts {
  blobs: BlobStore;
  catalog: Catalog;
  content: Content;
  leases: Leases;
  gate: Gate;
  fault: Fault;
}

export interface Collected {
  blobs: number;
  bytes: number;
}

/**
 * Deletes content that no image and no lease names: first the records, durably, then the files. A crash in between leaves
 * files that the next collection finds again.
 */
export class Collector {
  readonly #parts: CollectorParts;

  constructor(parts: CollectorParts) {
    this.#parts = parts;
  }

  /** Alone: nothing can begin to use content while it is decided what goes. Uploads under way go on. */
  collect(): Promise<Collected> {
    return this.#parts.gate.alone(async () => {
      const { blobs, catalog, content, leases, fault } = this.#parts;
      await leases.expire();
      const marked = this.#mark();
      const dead = [...catalog.manifests()].filter(([digest]) => !marked.has(digest));
      await catalog.apply(dead.map(([key]): Change => ({ table: "manifests", key, value: undefined })));
      fault("gc.records");
      const collected = { blobs: 0, bytes: 0 };
      for await (const { digest, size } of blobs.list()) {
        if (marked.has(digest)) continue;
        content.forget(digest);
        await blobs.remove(digest);
        fault("gc.blob");
        collected.blobs++;
        collected.bytes += size;
      }
      await blobs.sweepParts();
      return collected;
    });
  }

  #mark(): Set<Digest> {
    const { catalog, leases } = this.#parts;
    const marked = new Set<Digest>();
    const todo: Digest[] = [...leases.digests()];
    for (const image of catalog.images()) todo.push(image.id, ...image.manifests);
    for (const [, ref] of catalog.refs()) todo.push(ref.target);
    for (let digest = todo.pop(); digest !== undefined; digest = todo.pop()) {
      if (marked.has(digest)) continue;
      marked.add(digest);
      const manifest = catalog.manifest(digest);
      if (manifest?.config !== undefined) todo.push(manifest.config, ...manifest.names);
    }
    return marked;
  }
}
