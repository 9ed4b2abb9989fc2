import { BerthError, errorMessage } from "@berth/errors";
import type { Logger } from "@berth/log";
import type { VolumeDriver } from "../driver.ts";
import { type PluginAddress, PluginClient } from "./client.ts";
import { findPlugin, type PluginDirectories, scanPlugins } from "./discovery.ts";
import { PluginDriver } from "./driver.ts";

/** ms; saying what one is needs no storage. */
const activateTimeout = 10_000;

interface Known {
  client: PluginClient;
  /** Undefined: it is a plugin, and no volume driver. */
  driver: PluginDriver | undefined;
}

/** Plugins found in the plugin directories, each asked once what it is (Plugin.Activate) as long as its address stays. */
export class Plugins {
  readonly #directories: PluginDirectories;
  readonly #log: Logger;
  readonly #known = new Map<string, { url: string; asking: Promise<Known> }>();

  constructor(directories: PluginDirectories, log: Logger) {
    this.#directories = directories;
    this.#log = log;
  }

  /** Undefined when there is no such plugin. @throws UNAVAILABLE when it does not answer, INTERNAL when it drives no volumes */
  async driver(name: string): Promise<VolumeDriver | undefined> {
    const address = await findPlugin(this.#directories, name);
    if (address === undefined) {
      await this.#forget(name);
      return undefined;
    }
    const { driver } = await this.#activate(name, address);
    if (driver === undefined) {
      throw new BerthError(
        "INTERNAL",
        `legacy plugin: plugin does not implement the requested driver: plugin="${name}", requested implementation="VolumeDriver"`,
      );
    }
    return driver;
  }

  /** All that can be reached and drive volumes. */
  async drivers(): Promise<VolumeDriver[]> {
    const names = await scanPlugins(this.#directories);
    const found = await Promise.all(
      names.map((name) =>
        this.driver(name).catch((error: unknown) => {
          this.#log.debug({ plugin: name, err: errorMessage(error) }, "not a volume driver, or not reachable");
          return undefined;
        }),
      ),
    );
    return found.filter((driver) => driver !== undefined);
  }

  async close(): Promise<void> {
    for (const name of [...this.#known.keys()]) await this.#forget(name);
  }

  /** Callers that come at once ask together. */
  #activate(name: string, address: PluginAddress): Promise<Known> {
    const known = this.#known.get(name);
    if (known?.url === address.url) return known.asking;
    void this.#forget(name);
    const asking = ask(name, address);
    this.#known.set(name, { url: address.url, asking });
    // It may be there the next time.
    asking.catch(() => this.#known.get(name)?.asking === asking && this.#known.delete(name));
    return asking;
  }

  /** Never throws. */
  async #forget(name: string): Promise<void> {
    const known = this.#known.get(name);
    this.#known.delete(name);
    (await known?.asking.catch(() => undefined))?.client.close();
  }
}

async function ask(name: string, address: PluginAddress): Promise<Known> {
  const client = new PluginClient(name, address);
  try {
    const { Implements } = await client.call("Plugin.Activate", undefined, activateTimeout);
    const drives = Array.isArray(Implements) && Implements.includes("VolumeDriver");
    return { client, driver: drives ? new PluginDriver(name, client) : undefined };
  } catch (error) {
    client.close();
    throw error;
  }
}
