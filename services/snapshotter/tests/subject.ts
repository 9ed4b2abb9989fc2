import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "@berth/store";
import type { NamedLayers } from "../src/domain/collector.ts";
import { OverlaySnapshotter } from "../src/domain/overlay.ts";
import { levelRecords } from "../src/store/records.ts";
import { memoryBlobs } from "./images.ts";

export interface LocalSubject {
  readonly snapshotter: OverlaySnapshotter;
  readonly blobs: Map<string, Buffer>;
  readonly directory: string;
  close(): Promise<void>;
}

export interface OpenOptions {
  readonly directory: string;
  readonly blobs: Map<string, Buffer>;
  readonly bootId?: string;
  readonly named?: NamedLayers;
  readonly graceMs?: number;
  readonly onError?: (error: unknown) => void;
}

/** What went wrong in the background fails the test that closes the subject. */
export async function openAt({ directory, blobs, bootId = "this boot", ...rest }: OpenOptions): Promise<LocalSubject> {
  const failures: unknown[] = [];
  const snapshotter = await OverlaySnapshotter.open({
    base: join(directory, "snapshots"),
    records: levelRecords(await openStore(join(directory, "records"))),
    blobs: memoryBlobs(blobs),
    bootId,
    parallel: 4,
    maxLayerBytes: 1 << 30,
    onError: (error) => failures.push(error),
    ...rest,
  });
  return {
    snapshotter,
    blobs,
    directory,
    async close() {
      await snapshotter.close();
      if (failures.length > 0) throw failures[0];
    },
  };
}

/** A fresh one; closing it checks that there is a directory for each record and no other. */
export async function openSubject(options: Partial<OpenOptions> = {}): Promise<LocalSubject> {
  const directory = await mkdtemp(join(tmpdir(), "berth-snapshotter-"));
  const subject = await openAt({ directory, blobs: new Map(), ...options });
  return {
    ...subject,
    async close() {
      await subject.snapshotter.settle();
      let records = 0;
      for await (const _ of subject.snapshotter.list()) records++;
      const directories = await readdir(join(directory, "snapshots"));
      await subject.close();
      await rm(directory, { recursive: true });
      if (directories.length !== records)
        throw new Error(`${records} records, but directories ${directories.join(", ")}`);
    },
  };
}
