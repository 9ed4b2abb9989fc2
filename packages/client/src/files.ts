import { Readable } from "node:stream";
import { ChangeKind, type PathStat as PathStatMessage } from "@berth/api/containers";
import { BerthError } from "@berth/errors";
import { markEnd } from "@berth/rpc/client";
import { given, type Link } from "./link.ts";
import type { CallOptions } from "./options.ts";

/** What is under a path of a container. */
export interface PathStat {
  /** The path's last part. */
  name: string;
  /** bytes */
  size: number;
  /** stat(2)'s st_mode */
  mode: number;
  mtime: Date;
  /** Where a link leads to in the end; empty for what is none. */
  linkTarget: string;
}

export interface Change {
  kind: "modified" | "added" | "deleted";
  path: string;
}

export interface CopyInOptions extends CallOptions {
  /** A directory may not take the place of anything else, nor anything else that of a directory. */
  noOverwriteDirNonDir?: boolean | undefined;
  /** The container's user owns what is made, instead of whom the archive names. */
  copyUidGid?: boolean | undefined;
}

export interface CommitOptions {
  /** name:tag */
  reference?: string | undefined;
  author?: string | undefined;
  comment?: string | undefined;
  /** The new image's "config" object (OCI image-spec, config.md). */
  config?: object | undefined;
  /** Freezes the container's processes meanwhile; true unless given. */
  pause?: boolean | undefined;
}

/** bytes in one message: what the engine sends at a time as well */
const maxChunk = 256 * 1024;
const forever = Number.POSITIVE_INFINITY;

/** Bytes to send: a stream of Node's, or anything else that gives them one after the other. */
export type ByteSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** The files of containers: what `docker cp`, `export`, `diff` and `commit` do. */
export class Files {
  readonly #link: Link;

  /** @internal */
  constructor(link: Link) {
    this.#link = link;
  }

  /** @throws NOT_FOUND when nothing is there */
  async stat(container: string, path: string, call: CallOptions = {}): Promise<PathStat> {
    const { stat } = await this.#link.again(
      ({ supervisor }, how) => supervisor.statPath({ container, path }, how),
      call,
    );
    return decodeStat(stat);
  }

  /** A tar of what is under a path. The stream breaks off when the signal aborts. @throws NOT_FOUND */
  async copyOut(container: string, path: string, call: CallOptions = {}): Promise<{ stat: PathStat; tar: Readable }> {
    const answers = this.#link.services.supervisor.readArchive({ container, path }, given(call));
    const iterator = answers[Symbol.asyncIterator]();
    const { value } = await iterator.next();
    const stat = value?.message?.$case === "stat" ? value.message.value : undefined;
    async function* pieces() {
      for await (const { message } of { [Symbol.asyncIterator]: () => iterator })
        if (message?.$case === "data") yield message.value;
    }
    return { stat: decodeStat(stat), tar: readableOf(pieces()) };
  }

  /** Unpacks a tar (plain, or compressed with gzip, bzip2, xz or zstd) into an existing directory. @throws NOT_FOUND, INVALID_ARGUMENT */
  async copyIn(container: string, path: string, tar: ByteSource, options: CopyInOptions = {}): Promise<void> {
    const { noOverwriteDirNonDir = false, copyUidGid = false, ...call } = options;
    const start = { container, path, noOverwriteDirNonDir, copyUidGid };
    const requests = () => uploadOf(start, tar);
    await this.#link.once(({ supervisor }, how) => supervisor.writeArchive(requests(), how), call, forever);
  }

  /** A tar of the whole root file system, without what is mounted in it. */
  export(container: string, call: CallOptions = {}): Readable {
    const answers = this.#link.services.supervisor.export({ container }, given(call));
    async function* pieces() {
      for await (const { data } of answers) if (data.length > 0) yield data;
    }
    return readableOf(pieces());
  }

  /** What the container changed in its image's files. */
  async changes(container: string, call: CallOptions = {}): Promise<Change[]> {
    const found: Change[] = [];
    for await (const { changes } of this.#link.services.supervisor.changes({ container }, given(call)))
      for (const { kind, path } of changes) found.push({ kind: kinds[kind] ?? "modified", path });
    return found;
  }

  /** The writable layer becomes an image on top of the container's own. Gives its id. */
  async commit(container: string, options: CommitOptions = {}, call: CallOptions = {}): Promise<string> {
    const { reference = "", author = "", comment = "", config = {}, pause = true } = options;
    const request = { container, reference, author, comment, pause, config: Buffer.from(JSON.stringify(config)) };
    return (await this.#link.once(({ supervisor }, how) => supervisor.commit(request, how), call, forever)).imageId;
  }
}

/** A start and then the bytes, in messages of a bounded size. */
export async function* uploadOf<Start>(start: Start, bytes: ByteSource) {
  yield { message: { $case: "start" as const, value: start } };
  for await (const value of markEnd(chunksOf(bytes))) yield { message: { $case: "data" as const, value } };
}

export async function* chunksOf(bytes: ByteSource): AsyncGenerator<Buffer> {
  for await (const piece of bytes) {
    const buffer = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    for (let at = 0; at < buffer.length; at += maxChunk) yield buffer.subarray(at, at + maxChunk);
  }
}

export const readableOf = (pieces: AsyncIterable<Buffer>): Readable =>
  Readable.from(pieces, { objectMode: false, highWaterMark: maxChunk });

const kinds: Partial<Record<ChangeKind, Change["kind"]>> = {
  [ChangeKind.MODIFIED]: "modified",
  [ChangeKind.ADDED]: "added",
  [ChangeKind.DELETED]: "deleted",
};

function decodeStat(stat: PathStatMessage | undefined): PathStat {
  if (stat === undefined) throw new BerthError("INTERNAL", "the engine's answer has no status of the path");
  const { name, size, mode, mtime, linkTarget } = stat;
  return { name, size, mode, linkTarget, mtime: new Date((mtime?.seconds ?? 0) * 1000 + (mtime?.nanos ?? 0) / 1e6) };
}
