import { BerthError } from "@berth/errors";
import { invalid, noSuchContainer } from "../errors.ts";
import type { ExecRecord } from "../model.ts";
import type { Container } from "./container.ts";

const maxRemoved = 4096;

/** All containers of this node, in memory: what list, inspect and look-ups by name answer from. */
export class Registry {
  readonly #byId = new Map<string, Container>();
  readonly #byName = new Map<string, string>();
  readonly #byKey = new Map<string, string>();
  /** Links by the id of the container linked to. */
  readonly #linking = new Map<string, Set<Container>>();
  readonly execs = new Map<string, ExecRecord>();
  /** How far logs have been sent to their servers, by container. */
  readonly shipped = new Map<string, number>();
  /** Ids of creates under way: what they have made already is not to be swept. */
  readonly creating = new Set<string>();
  readonly #discards = new Set<Promise<void>>();
  /** Ids removed lately, oldest first: their names may not be back at NATS yet. */
  readonly #removed = new Set<string>();

  /** Called when there is one container more. */
  added: () => void = () => {};

  /** Containers that link to one, by its id. */
  linkedBy(id: string): Container[] {
    return [...(this.#linking.get(id) ?? [])];
  }

  /** A container's links are others now. */
  relinked(container: Container): void {
    this.#unlink(container);
    for (const { containerId } of container.record.links ?? []) {
      const parents = this.#linking.get(containerId) ?? new Set();
      parents.add(container);
      this.#linking.set(containerId, parents);
    }
  }

  #unlink(container: Container): void {
    for (const [id, parents] of this.#linking) {
      parents.delete(container);
      if (parents.size === 0) this.#linking.delete(id);
    }
  }

  add(container: Container): void {
    const { id, name, idempotencyKey } = container.record;
    this.#byId.set(id, container);
    this.#byName.set(name, id);
    if (idempotencyKey !== "") this.#byKey.set(idempotencyKey, id);
    this.relinked(container);
    this.added();
  }

  delete(container: Container): void {
    this.gone(container);
    this.forget(container.id);
  }

  /** It is another node's now: unlike one that was removed it keeps its name. */
  gone(container: Container): void {
    const { id, name, idempotencyKey } = container.record;
    this.#byId.delete(id);
    if (this.#byName.get(name) === id) this.#byName.delete(name);
    if (idempotencyKey !== "") this.#byKey.delete(idempotencyKey);
    for (const exec of container.execs) this.execs.delete(exec);
    this.shipped.delete(id);
    this.#unlink(container);
  }

  /** An id that was this node's and is no more. */
  forget(id: string): void {
    this.#removed.add(id);
    if (this.#removed.size > maxRemoved) this.#removed.delete(this.#removed.values().next().value ?? "");
  }

  /** Data of a removed container is being given back. */
  discarding(work: Promise<void>): void {
    this.#discards.add(work);
    void work.finally(() => this.#discards.delete(work));
  }

  /** Resolves when nothing that is on its way out is left. */
  async discarded(): Promise<void> {
    await Promise.allSettled(this.#discards);
  }

  wasRemovedHere(id: string): boolean {
    return this.#removed.has(id);
  }

  renamed(container: Container, oldName: string): void {
    if (this.#byName.get(oldName) === container.id) this.#byName.delete(oldName);
    this.#byName.set(container.record.name, container.id);
  }

  get(id: string): Container | undefined {
    return this.#byId.get(id);
  }

  byName(name: string): Container | undefined {
    return this.#byId.get(this.#byName.get(name) ?? "");
  }

  byIdempotencyKey(key: string): Container | undefined {
    return this.#byId.get(this.#byKey.get(key) ?? "");
  }

  all(): Container[] {
    return [...this.#byId.values()];
  }

  /** By id, name (with or without a leading slash), or an id prefix that fits one only. Throws NO_SUCH_CONTAINER, INVALID_ARGUMENT. */
  find(reference: string): Container {
    if (reference === "") throw invalid("No container name or ID supplied");
    const found =
      this.#byId.get(reference) ??
      this.byName(reference.startsWith("/") ? reference.slice(1) : reference) ??
      this.#byPrefix(reference);
    if (!found) throw noSuchContainer(reference);
    return found;
  }

  #byPrefix(prefix: string): Container | undefined {
    if (!/^[0-9a-f]{1,63}$/.test(prefix)) return undefined;
    const found: Container[] = [];
    for (const [id, container] of this.#byId) {
      if (id.startsWith(prefix)) found.push(container);
    }
    if (found.length > 1) {
      throw new BerthError("INVALID_ARGUMENT", `multiple IDs found with provided prefix: ${prefix}`);
    }
    return found[0];
  }
}
