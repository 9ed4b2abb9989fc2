// Archives that docker save wrote before it had a manifest.json (1.9 and older): a directory an image, each with one layer.
import { BerthError } from "@berth/errors";
import { type Digest, parseReference, type Reference } from "@berth/oci";
import type { ArchiveParts, Intake } from "./archives.ts";
import type { Contents, LoadMessage, StoredFile } from "./contents.ts";
import { makeManifest } from "./manifest.ts";

interface Made {
  id: Digest;
  manifest: Digest;
  /** Bottom first. */
  layers: readonly StoredFile[];
  history: readonly object[];
}

type Json = Record<string, unknown>;

const wrong = (why: string): BerthError => new BerthError("INVALID_ARGUMENT", `invalid archive: ${why}`);

/**
 * Loads all images of an old archive; "repositories" has the names of some of them. As with Docker, nothing is said of them.
 * @throws INVALID_ARGUMENT, DATA_LOSS
 */
export async function loadLegacy(
  parts: ArchiveParts,
  intake: Intake,
  contents: Contents,
  repositories: Buffer,
  tell: (message: LoadMessage) => void,
): Promise<void> {
  const names = parseRepositories(repositories);
  const made = new Map<string, Made>();
  for (const oldId of [...contents.legacy.keys()].sort()) {
    for (const next of chainOf(contents, oldId, made)) {
      const json = documentOf(contents, next);
      const below = made.get(textOf(json["parent"]));
      const image = await make(parts, intake, json, contents.file(`${next}/layer.tar`), below);
      await intake.keep(image.manifest, undefined, "load");
      if (below !== undefined) await parts.images.setParent(image.id, below.id);
      made.set(next, image);
    }
  }
  for (const { name, oldId } of names) {
    const image = made.get(oldId);
    if (image === undefined) throw new BerthError("INVALID_ARGUMENT", `invalid target ID: ${oldId.slice(0, 100)}`);
    const replaced = await intake.keep(image.manifest, name, "load");
    if (replaced === undefined) continue;
    const text = `The image ${name.path}:${name.tag} already exists, renaming the old one with ID ${replaced} to empty string`;
    tell({ loaded: text });
  }
}

/** {"NAME": {"TAG": "ID"}} */
function parseRepositories(document: Buffer): { name: Reference; oldId: string }[] {
  const tagged = Object.entries(parse(document, "repositories"));
  return tagged.flatMap(([name, tags]) =>
    Object.entries(objectOf(tags)).map(([tag, oldId]) => ({
      name: parseReference(`${name}:${tag}`),
      oldId: textOf(oldId),
    })),
  );
}

/** What has to be made for an image, parents first. */
function chainOf(contents: Contents, oldId: string, made: ReadonlyMap<string, Made>): string[] {
  const chain: string[] = [];
  for (let next = oldId; next !== "" && !made.has(next); next = textOf(documentOf(contents, next)["parent"])) {
    if (chain.includes(next)) throw wrong(`image ${next} is its own parent`);
    chain.push(next);
  }
  return chain.reverse();
}

function documentOf({ legacy }: Contents, oldId: string): Json {
  const content = legacy.get(oldId);
  if (content === undefined) throw wrong(`${JSON.stringify(`${oldId.slice(0, 100)}/json`)} is not in it`);
  return parse(content, `${oldId}/json`);
}

/** Left out of a config: what names images the old way, or is found out anew. */
const dropped = ["id", "parent", "Size", "parent_id", "layer_id", "throwaway"];

async function make(
  parts: ArchiveParts,
  intake: Intake,
  json: Json,
  layer: StoredFile,
  below: Made | undefined,
): Promise<Made> {
  const { os, architecture } = json;
  if (textOf(os) !== "" && os !== "linux") throw wrong(`cannot load ${textOf(os).slice(0, 64)} image on linux`);
  if (layer.packing !== "none") throw wrong("layers of such archives are plain tar files");
  const layers = [...(below?.layers ?? []), layer];
  const history = [...(below?.history ?? []), historyOf(json)];
  const content = {
    ...Object.fromEntries(Object.entries(json).filter(([key]) => !dropped.includes(key))),
    architecture: textOf(architecture) || "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
    history,
  };
  const sorted = Object.fromEntries(Object.entries(content).sort(([a], [b]) => (a < b ? -1 : 1)));
  const config = await intake.document(Buffer.from(JSON.stringify(sorted)));
  const stored = { ...config, packing: "none" as const };
  const manifest = await intake.manifest("", await makeManifest(parts, stored, layers));
  return { id: config.digest, manifest, layers, history };
}

function historyOf(json: Json): object {
  const { Cmd: command } = objectOf(json["container_config"]);
  const createdBy = Array.isArray(command) ? command.map(textOf).join(" ") : "";
  const entry = { created: json["created"], author: json["author"], created_by: createdBy, comment: json["comment"] };
  return Object.fromEntries(Object.entries(entry).filter(([, value]) => typeof value === "string" && value !== ""));
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

const objectOf = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {});

function parse(content: Buffer, name: string): Json {
  try {
    const value: unknown = JSON.parse(content.toString("utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  } catch {
    // Told below.
  }
  throw wrong(`${name} is not a JSON object`);
}
