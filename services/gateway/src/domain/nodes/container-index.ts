import type { Bus, NameValue } from "@berth/bus";
import { BerthError } from "@berth/errors";

/** A container as the names that all hosts agree on tell of it. */
export interface IndexedContainer extends NameValue {
  name: string;
}

/** Which node has which container, from the names bucket: found without asking anybody, those of nodes that are away included. */
export class ContainerIndex {
  readonly #byName = new Map<string, IndexedContainer>();
  readonly #byId = new Map<string, IndexedContainer>();

  /** Is kept up to date from now on. */
  follow(names: Bus["names"]): void {
    names.follow(
      () => {
        this.#byName.clear();
        this.#byId.clear();
      },
      ({ name, value }) => (value === undefined ? this.#drop(name) : this.#put({ name, ...value })),
    );
  }

  /** By full id, name or unique prefix of an id, in Docker's order. @throws INVALID_ARGUMENT for a prefix that several have */
  find(reference: string): IndexedContainer | undefined {
    const exact = this.#byId.get(reference) ?? this.#byName.get(reference.replace(/^\//, ""));
    if (exact !== undefined || !/^[0-9a-f]{1,63}$/.test(reference)) return exact;
    let found: IndexedContainer | undefined;
    for (const [id, container] of this.#byId) {
      if (!id.startsWith(reference)) continue;
      if (found !== undefined)
        throw new BerthError("INVALID_ARGUMENT", `multiple IDs found with provided prefix: ${reference}`);
      found = container;
    }
    return found;
  }

  of(nodeId: string): IndexedContainer[] {
    return [...this.#byId.values()].filter((container) => container.nodeId === nodeId);
  }

  #put(container: IndexedContainer): void {
    this.#byName.set(container.name, container);
    this.#byId.set(container.containerId, container);
  }

  /** A renamed container has its new name already when the old one goes. */
  #drop(name: string): void {
    const known = this.#byName.get(name);
    if (known === undefined) return;
    this.#byName.delete(name);
    if (this.#byId.get(known.containerId)?.name === name) this.#byId.delete(known.containerId);
  }
}
