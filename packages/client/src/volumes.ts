import type { Volume as VolumeMessage } from "@berth/api/volumes";
import { BerthError } from "@berth/errors";
import type { Link } from "./link.ts";
import type { CallOptions } from "./options.ts";

export interface Volume {
  name: string;
  driver: string;
  /** Path on the node. */
  mountpoint: string;
  nodeId: string;
  /** RFC 3339; empty when the driver does not know. */
  createdAt: string;
  labels: Record<string, string>;
  options: Record<string, string>;
  /** "local" or "global" */
  scope: string;
}

export interface CreateVolume {
  /** An anonymous one unless given. */
  name?: string | undefined;
  driver?: string | undefined;
  options?: Record<string, string> | undefined;
  labels?: Record<string, string> | undefined;
}

/** The Engine API's filters: { label: ["a=b"], dangling: ["true"] } */
export type Filters = Readonly<Record<string, readonly string[]>>;

/** ms; drivers may have to talk to a storage far away, and large volumes take time to remove. */
const slow = 150_000;

/** Volumes of all nodes; a name is unique on its node. Errors: NO_SUCH_VOLUME, IN_USE, CONFLICT, INVALID_ARGUMENT. */
export class Volumes {
  readonly #link: Link;

  /** @internal */
  constructor(link: Link) {
    this.#link = link;
  }

  /** Gives the one that is there already, if one of that name and driver is. */
  async create(
    { name = "", driver = "", options, labels }: CreateVolume = {},
    call: CallOptions = {},
  ): Promise<Volume> {
    const request = { name, driver, options: options && { values: options }, labels: labels && { values: labels } };
    return decode((await this.#link.once((services, how) => services.volumes.create(request, how), call, slow)).volume);
  }

  async inspect(name: string, call: CallOptions = {}): Promise<Volume> {
    return decode((await this.#link.again((services, how) => services.volumes.inspect({ name }, how), call)).volume);
  }

  async list(filters: Filters = {}, call: CallOptions = {}): Promise<Volume[]> {
    const request = { filters: filterValues(filters) };
    return (await this.#link.again((services, how) => services.volumes.list(request, how), call)).volumes.map(decode);
  }

  /** With `force` a missing one is no error. */
  async remove(name: string, { force = false, ...call }: CallOptions & { force?: boolean } = {}): Promise<void> {
    await this.#link.once((services, how) => services.volumes.remove({ name, force }, how), call, slow);
  }

  /** Removes local volumes that no container uses. Gives their names, and how many bytes that freed. */
  async prune(filters: Filters = {}, call: CallOptions = {}): Promise<{ names: string[]; reclaimed: number }> {
    return this.#link.once(
      (services, how) => services.volumes.prune({ filters: filterValues(filters) }, how),
      call,
      slow,
    );
  }
}

export const filterValues = (filters: Filters): Record<string, { values: string[] }> =>
  Object.fromEntries(Object.entries(filters).map(([key, values]) => [key, { values: [...values] }]));

function decode(volume: VolumeMessage | undefined): Volume {
  if (volume === undefined) throw new BerthError("INTERNAL", "the engine's answer has no volume");
  const { labels, options, status: _status, usage: _usage, ...rest } = volume;
  return { ...rest, labels: labels?.values ?? {}, options: options?.values ?? {} };
}
