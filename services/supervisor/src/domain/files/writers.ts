import type { View } from "@berth/isolation";
import type { Container } from "../containers/container.ts";
import type { Paths } from "../containers/parts.ts";
import { refuseMoving } from "../moves/guard.ts";
import { Mutex } from "../mutex.ts";
import { ended, isGone, runningView, writableView } from "./view.ts";

const maxTries = 4;

/**
 * Who writes into a container's files from outside. A start waits until all have ended: a stopped container's files are mounted for the
 * writing, and two mounts may not write the same directories.
 */
export class Writers {
  readonly #active = new Set<Promise<unknown>>();
  readonly #turns = new Mutex();

  /** Runs `write` on the files of a running container, or in its turn on those of one that does not run. */
  async run<T>(container: Container, paths: Paths, write: (view: View) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      // Under the mutex: no start begins between the look at the state and the entry in the list.
      const work = await container.mutex.run(() => this.#begin(container, paths, write));
      try {
        return await work.done;
      } catch (error) {
        // It ended before its files could be opened; nothing has been read of the archive then.
        if (!isGone(error) || tries === maxTries) throw error;
        await ended(container, work.view);
      }
    }
  }

  /** Resolves when nobody writes. To be called with the container's mutex held. */
  async idle(): Promise<void> {
    while (this.#active.size > 0) await Promise.allSettled(this.#active);
  }

  #begin<T>(container: Container, paths: Paths, write: (view: View) => Promise<T>): { view: View; done: Promise<T> } {
    refuseMoving(container.record);
    const running = runningView(container);
    const view = running ?? writableView(paths, container.record);
    const done = running === undefined ? this.#turns.run(() => write(view)) : write(running);
    const entry = done.catch(() => undefined).finally(() => this.#active.delete(entry));
    this.#active.add(entry);
    return { view, done };
  }
}
