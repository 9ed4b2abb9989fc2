import { BerthError } from "@berth/errors";
import { type Digest, familiarString, parseReference, type Reference, shortId } from "@berth/oci";
import { type Catalog, noSuchImage, refKey } from "./catalog.ts";
import type { Fault } from "./fault.ts";
import { isDangling } from "./list.ts";
import type { Mutex } from "./locks.ts";
import type { Change, ImageRecord } from "./records.ts";

/** A container that was made from an image. */
export interface ImageUse {
  imageId: Digest;
  containerId: string;
  running: boolean;
}

export interface Removal {
  force: boolean;
  /** Leave parents that nothing else needs. */
  noPrune: boolean;
  inUse: readonly ImageUse[];
}

export interface Removed {
  untagged: string[];
  deleted: string[];
}

export interface RemoverParts {
  catalog: Catalog;
  changing: Mutex;
  fault: Fault;
}

/**
 * DELETE /images/{name}: takes a name away, or an image with all its names, by Docker's rules about when which. The
 * records go; the blobs follow when the garbage is collected.
 */
export class Remover {
  readonly #parts: RemoverParts;

  constructor(parts: RemoverParts) {
    this.#parts = parts;
  }

  /** @throws NO_SUCH_IMAGE; IN_USE with Docker's conflict text */
  remove(text: string, removal: Removal): Promise<Removed> {
    const { catalog, changing, fault } = this.#parts;
    return changing.run(async () => {
      const plan = new RemovalPlan(catalog, removal);
      plan.remove(text);
      fault("remove.before");
      await catalog.apply(plan.changes);
      fault("remove.after");
      return plan.removed;
    });
  }
}

interface Deletion {
  /** For a parent: what stands in the way keeps it, and is no error. */
  readonly quiet: boolean;
  /** Whether names stand in the way. */
  readonly names: boolean;
  readonly force: boolean;
}

/** Decides wholly before anything is changed, so that a conflict leaves all as it was. */
class RemovalPlan {
  readonly changes: Change[] = [];
  readonly removed: Removed = { untagged: [], deleted: [] };
  readonly #catalog: Catalog;
  readonly #removal: Removal;
  readonly #gone = new Set<string>();

  constructor(catalog: Catalog, removal: Removal) {
    this.#catalog = catalog;
    this.#removal = removal;
  }

  remove(text: string): void {
    const image = this.#catalog.resolve(text);
    const isId = image.id === text || image.id.startsWith(`sha256:${text.replace(/^sha256:/, "")}`);
    const named = isId ? undefined : this.#existing(parseReference(text));
    if (named !== undefined) {
      if (this.#removeName(image, named)) return;
    } else if (isOneRepository(this.#namesOf(image.id))) {
      this.#refuse(image, { names: false, force: this.#removal.force });
      for (const name of this.#namesOf(image.id)) this.#untag(image, name);
    }
    this.#delete(image, { quiet: false, names: named === undefined, force: this.#removal.force });
  }

  /** @returns true when other names are left, and so the image stays */
  #removeName(image: ImageRecord, name: Reference): boolean {
    const user = this.#users(image)[0];
    if (!this.#removal.force && user !== undefined && isOneRepository(this.#namesOf(image.id))) {
      throw conflict(
        `conflict: unable to remove repository reference ${JSON.stringify(familiarString(name))} (must force) - container ${user.containerId.slice(0, 12)} is using its referenced image ${shortId(image.id)}`,
      );
    }
    this.#untag(image, name);
    const left = this.#namesOf(image.id);
    const isSameRepository = (other: Reference): boolean => other.domain === name.domain && other.path === name.path;
    if (name.digest === undefined && !left.some((other) => other.digest === undefined && isSameRepository(other))) {
      for (const other of left.filter(isSameRepository)) this.#untag(image, other, false);
    }
    return this.#namesOf(image.id).length > 0;
  }

  #delete(image: ImageRecord, { quiet, names, force }: Deletion): void {
    try {
      this.#refuse(image, { names, force });
    } catch (error) {
      if (quiet && (!isDangling(this.#catalog, image) || this.#users(image).length > 0)) return;
      throw error;
    }
    for (const name of this.#namesOf(image.id)) this.#untag(image, name);
    this.#gone.add(image.id);
    this.changes.push({ table: "images", key: image.id, value: undefined });
    this.changes.push({ event: { action: "delete", actorId: image.id, name: image.id, labels: image.labels } });
    this.removed.deleted.push(image.id, ...this.#ownLayers(image));
    const parent = this.#removal.noPrune ? undefined : this.#catalog.image(image.parent);
    // Force is meant for the image that was named: its parents go only when nothing at all wants them.
    if (parent !== undefined && !this.#gone.has(parent.id)) {
      this.#delete(parent, { quiet: true, names: true, force: false });
    }
  }

  /** Layers that no other image or container has, topmost first, by chain id: what Docker reports as deleted. */
  #ownLayers(image: ImageRecord): Digest[] {
    if (this.#users(image).length > 0) return [];
    const others = [...this.#catalog.images()].filter((other) => !this.#gone.has(other.id));
    const kept = new Set(others.flatMap(({ layers }) => layers.map(({ chainId }) => chainId)));
    return image.layers
      .map(({ chainId }) => chainId)
      .filter((chainId) => !kept.has(chainId))
      .reverse();
  }

  /** Hard conflicts always refuse, soft ones unless forced. */
  #refuse(image: ImageRecord, { names, force }: Pick<Deletion, "names" | "force">): void {
    const users = this.#users(image);
    const running = users.find((user) => user.running);
    const stopped = users.find((user) => !user.running);
    const children = this.#catalog.childrenOf(image.id).filter((child) => !this.#gone.has(child.id));
    const about = `conflict: unable to delete ${shortId(image.id)}`;
    if (children.length > 0) throw conflict(`${about} (cannot be forced) - image has dependent child images`);
    if (running !== undefined) {
      throw conflict(
        `${about} (cannot be forced) - image is being used by running container ${running.containerId.slice(0, 12)}`,
      );
    }
    if (!force && names && this.#namesOf(image.id).length > 0) {
      throw conflict(`${about} (must be forced) - image is referenced in multiple repositories`);
    }
    if (!force && stopped !== undefined) {
      throw conflict(
        `${about} (must be forced) - image is being used by stopped container ${stopped.containerId.slice(0, 12)}`,
      );
    }
  }

  #untag(image: ImageRecord, name: Reference, tell = true): void {
    const key = refKey(name);
    this.#gone.add(key);
    this.changes.push({ table: "refs", key, value: undefined });
    if (tell)
      this.changes.push({ event: { action: "untag", actorId: image.id, name: image.id, labels: image.labels } });
    this.removed.untagged.push(familiarString(name));
  }

  #existing(reference: Reference): Reference {
    const { domain, path, tag = "latest", digest } = reference;
    const name = digest === undefined ? { domain, path, tag } : { domain, path, digest };
    if (this.#catalog.ref(refKey(name)) === undefined) throw noSuchImage(name);
    return name;
  }

  #namesOf(id: Digest): Reference[] {
    return this.#catalog.namesOf(id).filter((name) => !this.#gone.has(refKey(name)));
  }

  #users(image: ImageRecord): ImageUse[] {
    return this.#removal.inUse.filter((use) => use.imageId === image.id);
  }
}

/** At most one tag, and all names within one repository: then the id may stand for the name. */
function isOneRepository(names: readonly Reference[]): boolean {
  if (names.length <= 1) return true;
  const tags = names.filter((name) => name.digest === undefined);
  const repositories = new Set(names.map((name) => `${name.domain}/${name.path}`));
  return tags.length <= 1 && repositories.size === 1;
}

function conflict(message: string): BerthError {
  return new BerthError("IN_USE", message);
}
