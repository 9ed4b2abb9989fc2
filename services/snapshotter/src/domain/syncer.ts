import type { Catalog } from "./catalog.ts";
import type { Directories } from "./directories.ts";
import type { Fault } from "./fault.ts";
import type { KeyLocks } from "./locks.ts";

/**
 * Puts unpacked layers on the medium behind the caller's back. A layer can be unpacked again from its blob, so a pull need not wait
 * for hundreds of megabytes to be written: its record says in which boot it was written, and loses that mark once syncfs() is done.
 * After a power cut in between, the mark tells that the layer may be torn.
 *
 * One syncfs() at a time covers all that was recorded before it began.
 */
export class Syncer {
  readonly #catalog: Catalog;
  readonly #directories: Directories;
  readonly #locks: KeyLocks;
  readonly #fault: Fault;
  readonly #onError: (error: unknown) => void;
  readonly #pending = new Set<string>();
  #running: Promise<void> | undefined;

  constructor(
    catalog: Catalog,
    directories: Directories,
    locks: KeyLocks,
    fault: Fault,
    onError: (error: unknown) => void,
  ) {
    this.#catalog = catalog;
    this.#directories = directories;
    this.#locks = locks;
    this.#fault = fault;
    this.#onError = onError;
    for (const [key, record] of catalog.entries()) if (record.unsyncedBoot !== undefined) this.add(key);
  }

  add(key: string): void {
    this.#pending.add(key);
    this.#running ??= this.#run();
  }

  /** Resolves when nothing is waiting. */
  async settle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    // Lets the layers of one image that end together share the first round.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#pending.size > 0) {
      const keys = [...this.#pending];
      try {
        await this.#directories.sync();
        this.#fault("unpack-synced");
        await Promise.all(keys.map((key) => this.#clear(key)));
      } catch (error) {
        // They stay marked: worse than unpacking again after a power cut does not follow from it.
        this.#onError(error);
      }
      for (const key of keys) this.#pending.delete(key);
    }
    this.#running = undefined;
  }

  /** In the key's turn: a removal that is under way must not be undone. */
  #clear(key: string): Promise<void> {
    return this.#locks.run(key, async () => {
      const record = this.#catalog.find(key);
      if (record?.unsyncedBoot === undefined) return;
      const { unsyncedBoot: _, ...rest } = record;
      await this.#catalog.write([{ key, record: rest }]);
    });
  }
}
