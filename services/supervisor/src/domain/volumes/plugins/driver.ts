import { BerthError } from "@berth/errors";
import type { DriverVolume, VolumeDriver } from "../driver.ts";
import type { PluginClient } from "./client.ts";

/** ms; a plugin may have to talk to a storage of its own. The protocol's own bounds. */
const longTimeout = 120_000;
const shortTimeout = 60_000;

/** A volume driver behind Docker's volume plugin protocol. */
export class PluginDriver implements VolumeDriver {
  readonly name: string;
  readonly #client: PluginClient;
  #scope: string | undefined;

  constructor(name: string, client: PluginClient) {
    this.name = name;
    this.#client = client;
  }

  /** Asked once; a plugin that does not say is "local". */
  async scope(): Promise<string> {
    if (this.#scope !== undefined) return this.#scope;
    const answer = await this.#call("Capabilities", undefined, shortTimeout).catch(() => undefined);
    const said = (answer?.["Capabilities"] as { Scope?: unknown } | undefined)?.Scope;
    const scope = typeof said === "string" && said.toLowerCase() === "global" ? "global" : "local";
    if (answer !== undefined) this.#scope = scope;
    return scope;
  }

  async create(name: string, options: Readonly<Record<string, string>>): Promise<void> {
    await this.#call("Create", { Name: name, Opts: options }, longTimeout);
  }

  /** What the plugin refuses to tell of, it does not have. */
  async get(name: string): Promise<DriverVolume | undefined> {
    try {
      const { Volume } = await this.#call("Get", { Name: name }, shortTimeout);
      return volumeOf(Volume);
    } catch (error) {
      if (error instanceof BerthError && error.reason === "UNAVAILABLE") throw error;
      return undefined;
    }
  }

  async list(): Promise<DriverVolume[]> {
    const { Volumes } = await this.#call("List", {}, shortTimeout);
    if (!Array.isArray(Volumes)) return [];
    return Volumes.flatMap((one) => volumeOf(one) ?? []);
  }

  async mount(name: string, id: string): Promise<string> {
    const { Mountpoint } = await this.#call("Mount", { Name: name, ID: id }, longTimeout);
    if (typeof Mountpoint !== "string" || !Mountpoint.startsWith("/")) {
      throw new BerthError("INTERNAL", `plugin ${this.name} gave no mount point for volume ${name}`);
    }
    return Mountpoint;
  }

  async unmount(name: string, id: string): Promise<void> {
    await this.#call("Unmount", { Name: name, ID: id }, shortTimeout);
  }

  async release(name: string): Promise<void> {
    await this.#call("Remove", { Name: name }, shortTimeout);
  }

  /** The plugin has its data. */
  discard(): Promise<void> {
    return Promise.resolve();
  }

  #call(method: string, body: object | undefined, timeoutMs: number): Promise<Record<string, unknown>> {
    return this.#client.call(`VolumeDriver.${method}`, body, timeoutMs);
  }
}

function volumeOf(value: unknown): DriverVolume | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { Name, Mountpoint, CreatedAt, Status } = value as Record<string, unknown>;
  if (typeof Name !== "string" || Name === "") return undefined;
  const time = typeof CreatedAt === "string" ? Date.parse(CreatedAt) : Number.NaN;
  return {
    name: Name,
    mountpoint: typeof Mountpoint === "string" ? Mountpoint : "",
    createdAt: Number.isNaN(time) ? "" : (CreatedAt as string).replace(/\.\d+/, ""),
    status: typeof Status === "object" && Status !== null ? (Status as Record<string, unknown>) : undefined,
  };
}
