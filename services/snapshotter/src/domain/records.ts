import type { Kind } from "./snapshotter.ts";

/** What is kept of a snapshot; its key is the record's. */
export interface SnapshotRecord {
  /** Name of its directory: a small number, never used twice while anything of it is left. */
  readonly dir: number;
  readonly kind: Kind;
  readonly parent: string;
  /** ms since the epoch */
  readonly created: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Bytes of a committed layer's files. */
  readonly size: number;
  /** Mode and owner of its root directory, which the layers above take over. */
  readonly root: { readonly mode: number; readonly uid: number; readonly gid: number };
  /**
   * Only while a committed snapshot's files may not be on the medium yet: the boot in which they were written. After another boot
   * such a layer may be torn, and is dropped.
   */
  readonly unsyncedBoot?: string;
  /** Bytes that its files may take, by a quota of the file system. */
  readonly quota?: number;
  /** Made by commit(): there is no blob to make it from again, so it stays until it is removed by name. */
  readonly origin?: "commit";
}

export type Change = { readonly key: string; readonly record: SnapshotRecord | null };

export interface Records {
  /** All, in no particular order. */
  all(): Promise<Map<string, SnapshotRecord>>;
  /** Applies all changes or none; on the medium when it resolves. */
  write(changes: readonly Change[]): Promise<void>;
  close(): Promise<void>;
}
