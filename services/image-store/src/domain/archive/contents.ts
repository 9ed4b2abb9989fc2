import { posix } from "node:path";
import { BerthError } from "@berth/errors";
import { type Digest, digestHex } from "@berth/oci";
import type { Intake } from "./archives.ts";
import { type Packing, packingOf, readTar, type TarEntry } from "./incoming.ts";

export type LoadMessage = { loaded: string } | { progress: { id: string; current: number; total: number } };

/** bytes of the documents that say what is in an archive */
const maxDocument = 8 * 1024 * 1024;
/** An archive with more files has not come from any docker save. */
const maxFiles = 20_000;
const documents = new Set(["manifest.json", "index.json"]);
/** What older archives hold for readers older still. */
const unused = /(?:^|\/)(?:VERSION|oci-layout)$/;
/** Archives of before manifest.json: names, and an image a directory. Newer ones hold them too. */
const legacy = /^(?:repositories|([^/]{1,128})\/json)$/;
/** bytes of all such documents together */
const maxLegacy = 16 * 1024 * 1024;

export interface StoredFile {
  digest: Digest;
  /** bytes */
  size: number;
  packing: Packing;
}

/** An archive's files by their path: stored as blobs, or kept here when they are documents about the others. */
export class Contents {
  readonly files = new Map<string, StoredFile>();
  readonly links = new Map<string, string>();
  readonly documents = new Map<string, Buffer>();
  /** Images of before manifest.json: their documents by their old ids. */
  readonly legacy = new Map<string, Buffer>();
  #legacyBytes = 0;

  /** A document of an old archive; more of them than any archive has are not kept. */
  keepLegacy(name: string, content: Buffer): void {
    this.#legacyBytes += content.length;
    if (this.#legacyBytes > maxLegacy) return;
    const id = legacy.exec(name)?.[1];
    if (id === undefined) this.documents.set(name, content);
    else this.legacy.set(id, content);
  }

  /** @throws INVALID_ARGUMENT */
  file(path: string): StoredFile {
    let at = normalize(path);
    // Docker's old archives link equal layers to each other.
    for (let hops = 0; hops < 32; hops++) {
      const found = this.files.get(at);
      if (found !== undefined) return found;
      const target = this.links.get(at);
      if (target === undefined) break;
      at = target;
    }
    throw new BerthError("INVALID_ARGUMENT", `invalid archive: ${JSON.stringify(path.slice(0, 200))} is not in it`);
  }

  blob(digest: Digest): StoredFile | undefined {
    return this.files.get(blobName(digest));
  }
}

/** Takes an archive in as it streams: its files become blobs. @throws INVALID_ARGUMENT, DATA_LOSS */
export async function readContents(
  intake: Intake,
  source: AsyncIterable<Buffer>,
  tell: (message: LoadMessage) => void,
  signal: AbortSignal,
): Promise<Contents> {
  const contents = new Contents();
  let count = 0;
  for await (const entry of readTar(source, signal)) {
    const name = normalize(entry.header.name);
    if (++count > maxFiles) throw new BerthError("INVALID_ARGUMENT", `invalid archive: more than ${maxFiles} files`);
    const { type, linkname } = entry.header;
    if (type === "symlink") contents.links.set(name, normalize(posix.join(posix.dirname(name), linkname ?? "")));
    else if (type === "link") contents.links.set(name, normalize(linkname ?? ""));
    else if (type === "file" && documents.has(name)) contents.documents.set(name, await readDocument(entry));
    else if (type === "file" && legacy.test(name)) contents.keepLegacy(name, await readDocument(entry));
    else if (type === "file" && !unused.test(name))
      contents.files.set(name, await storeFile(intake, name, entry, tell));
    entry.resume();
  }
  return contents;
}

async function readDocument(entry: TarEntry): Promise<Buffer> {
  const { name, size = 0 } = entry.header;
  if (size > maxDocument) throw new BerthError("INVALID_ARGUMENT", `invalid archive: ${name} has ${size} bytes`);
  const chunks: Buffer[] = [];
  for await (const chunk of entry) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function storeFile(
  intake: Intake,
  name: string,
  entry: TarEntry,
  tell: (message: LoadMessage) => void,
): Promise<StoredFile> {
  const total = entry.header.size ?? 0;
  const named = /^blobs\/sha256\/([a-f0-9]{64})$/.exec(name)?.[1];
  const id = (named ?? name.replace(/\/layer\.tar$/, "")).slice(0, 12);
  let packing: Packing | undefined;
  let current = 0;
  const committed = await intake.blob(
    entry as AsyncIterable<Buffer>,
    named === undefined ? "" : `sha256:${named}`,
    (chunk) => {
      packing ??= packingOf(chunk);
      current += chunk.length;
      // Documents are no layers; people want to see what takes long.
      if (total > 64 * 1024) tell({ progress: { id, current, total } });
    },
  );
  return { ...committed, packing: packing ?? "none" };
}

/** Without leading dots and slashes, and never above the archive's root. */
function normalize(path: string): string {
  return posix.normalize(`/${path}`).slice(1).replace(/\/$/, "");
}

export function blobName(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`;
}
