import { BerthError } from "@berth/errors";
import { notFound } from "../errors.ts";
import type { VolumeDriver } from "./driver.ts";
import { type LocalDriver, localDriver } from "./local-driver.ts";
import type { Plugins } from "./plugins/plugins.ts";

/** The drivers of this node: "local", and the plugins that are there. */
export class Drivers {
  readonly local: LocalDriver;
  readonly #plugins: Plugins;

  constructor(local: LocalDriver, plugins: Plugins) {
    this.local = local;
    this.#plugins = plugins;
  }

  /** @throws NO_SUCH_VOLUME when there is no such plugin, INTERNAL when it is something else than a volume driver */
  async byName(name: string): Promise<VolumeDriver> {
    if (name === "" || name === localDriver) return this.local;
    const plugin = await this.#plugins.driver(name).catch((error: unknown) => {
      if (error instanceof BerthError) {
        throw new BerthError(error.reason, `error looking up volume plugin ${name}: ${error.message}`);
      }
      throw error;
    });
    if (plugin === undefined) throw notFound(`error looking up volume plugin ${name}: plugin "${name}" not found`);
    return plugin;
  }

  /** Every plugin that can be found and says that it is a volume driver. */
  plugins(): Promise<VolumeDriver[]> {
    return this.#plugins.drivers();
  }

  /** For `docker info`. */
  async names(): Promise<string[]> {
    const plugins = await this.#plugins.drivers().catch(() => []);
    return [localDriver, ...plugins.map(({ name }) => name)].sort();
  }
}
