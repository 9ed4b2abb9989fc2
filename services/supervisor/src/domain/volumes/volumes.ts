import { BerthError, errorMessage, isBerthError } from "@berth/errors";
import type { Logger } from "@berth/log";
import type { FaultPoint, Records } from "../containers/parts.ts";
import { notFound } from "../errors.ts";
import { newId } from "../ids.ts";
import type { VolumeRecord } from "../model.ts";
import { NamedMutexes } from "../mutex.ts";
import type { DriverVolume, VolumeDriver } from "./driver.ts";
import type { Drivers } from "./drivers.ts";
import { volumeEvent } from "./events.ts";
import { localDriver } from "./local-driver.ts";

/** On volumes that nobody gave a name: prune takes these alone. */
export const anonymousLabel = "com.docker.volume.anonymous";

/** One volume as it is told of. */
export interface VolumeView {
  record: VolumeRecord;
  mountpoint: string;
  scope: string;
  status?: Record<string, unknown> | undefined;
}

export interface CreateVolume {
  /** Empty: an anonymous one. */
  name: string;
  /** Empty: any that has it, or else "local". */
  driver: string;
  options: Record<string, string> | null;
  labels: Record<string, string> | null;
}

export interface VolumesParts {
  nodeId: string;
  records: Records;
  drivers: Drivers;
  log: Logger;
  fault: FaultPoint;
}

/** The volumes of this node: records, and who uses them. A volume is used from a container's create to its removal. */
export class Volumes {
  readonly parts: VolumesParts;
  readonly #byName = new Map<string, VolumeRecord>();
  readonly #users = new Map<string, Set<string>>();
  /** Names that nobody can have or use now, and why: volumes on their way between nodes. */
  readonly #reserved = new Map<string, string>();
  readonly #locks = new NamedMutexes();

  constructor(parts: VolumesParts) {
    this.parts = parts;
  }

  /** What was recorded, and (by volume name) which containers use it. */
  load(records: readonly VolumeRecord[], uses: Iterable<readonly [name: string, containerId: string]>): void {
    for (const record of records) this.#byName.set(record.name, record);
    for (const [name, containerId] of uses) this.hold(name, containerId);
  }

  get names(): ReadonlySet<string> {
    return new Set(this.#byName.keys());
  }

  record(name: string): VolumeRecord | undefined {
    return this.#byName.get(name);
  }

  records(): VolumeRecord[] {
    return [...this.#byName.values()];
  }

  users(name: string): readonly string[] {
    return [...(this.#users.get(name) ?? [])];
  }

  hold(name: string, containerId: string): void {
    const users = this.#users.get(name) ?? new Set();
    this.#users.set(name, users.add(containerId));
  }

  letGo(name: string, containerId: string): void {
    const users = this.#users.get(name);
    if (users?.delete(containerId) && users.size === 0) this.#users.delete(name);
  }

  /** Until unreserve() no create() gives it to anybody; who uses it already keeps it. `why` goes on after the name: "is being …". */
  reserve(name: string, why: string): void {
    this.#reserved.set(name, why);
  }

  unreserve(name: string): void {
    this.#reserved.delete(name);
  }

  isReserved(name: string): boolean {
    return this.#reserved.has(name);
  }

  /** A volume whose record and data came from elsewhere. */
  adopt(record: VolumeRecord, user: string): void {
    this.#byName.set(record.name, record);
    this.hold(record.name, user);
  }

  /** A volume whose record has gone from the disk already. */
  drop(name: string): void {
    this.#byName.delete(name);
  }

  /**
   * Makes a volume, or gives the one that is there. With a user it is in use from now on, and its record reaches the disk with that
   * user's own. @throws INVALID_ARGUMENT, CONFLICT (another driver has the name), NO_SUCH_VOLUME (no such driver)
   */
  create(request: CreateVolume, user?: string): Promise<VolumeView> {
    const anonymous = request.name === "";
    const name = anonymous ? newId() : request.name;
    const labels = anonymous ? { ...request.labels, [anonymousLabel]: "" } : request.labels;
    return this.#locks.run(name, async () => {
      try {
        const view = await this.#create({ ...request, name, labels }, user !== undefined);
        if (user !== undefined) this.hold(name, user);
        return view;
      } catch (error) {
        throw prefixed(`create ${name}`, error);
      }
    });
  }

  /** @throws NO_SUCH_VOLUME, UNAVAILABLE */
  inspect(name: string): Promise<VolumeView> {
    return this.#locks.run(name, async () => {
      try {
        return await this.#find(name);
      } catch (error) {
        throw prefixed(`get ${name}`, error);
      }
    });
  }

  /** Force: a missing one is success, and what its driver cannot remove is forgotten. @throws NO_SUCH_VOLUME, IN_USE */
  remove(name: string, force = false): Promise<void> {
    return this.#locks.run(name, async () => {
      const known = this.#byName.get(name);
      try {
        if (known === undefined || known.driver !== localDriver) await this.#find(name);
      } catch (error) {
        if (force && isBerthError(error) && error.reason === "NO_SUCH_VOLUME") return;
        throw prefixed(`get ${name}`, error);
      }
      const users = this.users(name);
      if (users.length > 0) {
        throw new BerthError("IN_USE", `remove ${name}: volume is in use - [${users.join(", ")}]`);
      }
      await this.#remove(this.#byName.get(name) as VolumeRecord, force);
    });
  }

  /** Directory of a volume on this host, mounted for `id`. @throws what its driver says */
  mount(name: string, id: string): Promise<string> {
    return this.#locks.run(name, async () => {
      const { record, mountpoint } = await this.#find(name);
      try {
        return await (await this.parts.drivers.byName(record.driver)).mount(name, id);
      } catch (error) {
        throw prefixed(`error while mounting volume '${mountpoint}'`, error);
      }
    });
  }

  unmount(name: string, driver: string, id: string): Promise<void> {
    return this.#locks.run(name, async () => (await this.parts.drivers.byName(driver)).unmount(name, id));
  }

  async #create(request: CreateVolume & { name: string }, lazily: boolean): Promise<VolumeView> {
    const { name, options, labels } = request;
    const why = this.#reserved.get(name);
    if (why !== undefined) throw new BerthError("CONFLICT", `volume ${name} ${why}`);
    const existing = await this.#existing(name, request.driver);
    if (existing !== undefined) return existing;
    const driver = await this.parts.drivers.byName(request.driver);
    const there = driver.name === localDriver ? undefined : await driver.get(name);
    if (there === undefined) await driver.create(name, options ?? {});
    this.parts.fault("volume.made");
    const record: VolumeRecord = { v: 1, name, driver: driver.name, labels, options, created: now() };
    this.#byName.set(name, record);
    try {
      const event = volumeEvent(this.parts.nodeId, "create", name, { driver: driver.name });
      const change = { putVolume: record, events: [event] };
      await (lazily ? this.parts.records.commitLazily(change) : this.parts.records.commit(change));
    } catch (error) {
      this.#byName.delete(name);
      throw error;
    }
    this.parts.fault("volume.recorded");
    return this.#view(record, driver, await driver.get(name));
  }

  /** A volume of that name that may be taken for what is asked for. */
  async #existing(name: string, wanted: string): Promise<VolumeView | undefined> {
    const record = this.#byName.get(name);
    if (record === undefined) return wanted === "" ? this.#probe(name) : undefined;
    const isOther = wanted !== "" && (await this.parts.drivers.byName(wanted)).name !== record.driver;
    const driver = await this.parts.drivers.byName(record.driver);
    const found = await driver.get(name);
    if (found !== undefined) {
      if (!isOther) return this.#view(record, driver, found);
      throw new BerthError(
        "CONFLICT",
        `driver '${record.driver}' already has volume '${name}': volume name must be unique`,
      );
    }
    if (this.users(name).length > 0) {
      throw new BerthError(
        "CONFLICT",
        `found references to volume '${name}' in driver '${record.driver}' but the volume was not found in the driver -- you may need ` +
          "to remove containers referencing this volume or force remove the volume to re-create it: volume name must be unique",
      );
    }
    await this.#forget(record);
    return undefined;
  }

  async #find(name: string): Promise<VolumeView> {
    const record = this.#byName.get(name);
    if (record === undefined) {
      const found = await this.#probe(name);
      if (found === undefined) throw notFound("no such volume");
      return found;
    }
    const driver = await this.#driverOf(record);
    const found = await driver.get(name);
    if (found === undefined) {
      await this.#forget(record);
      throw notFound("no such volume");
    }
    return this.#view(record, driver, found);
  }

  async #driverOf({ name, driver }: VolumeRecord): Promise<VolumeDriver> {
    try {
      return await this.parts.drivers.byName(driver);
    } catch (error) {
      throw prefixed(`error while checking if volume "${name}" exists in driver "${driver}"`, error);
    }
  }

  /** A volume that was made behind our back is known from now on. */
  async #probe(name: string): Promise<VolumeView | undefined> {
    for (const driver of await this.parts.drivers.plugins()) {
      const found = await driver.get(name).catch(() => undefined);
      if (found === undefined) continue;
      const record: VolumeRecord = {
        v: 1,
        name,
        driver: driver.name,
        labels: null,
        options: null,
        created: found.createdAt,
      };
      await this.parts.records.commitLazily({ putVolume: record });
      this.#byName.set(name, record);
      return this.#view(record, driver, found);
    }
    return undefined;
  }

  async #view(record: VolumeRecord, driver: VolumeDriver, found: DriverVolume | undefined): Promise<VolumeView> {
    const created = driver.name === localDriver ? record.created : (found?.createdAt ?? "");
    const scope = await driver.scope();
    return { record: { ...record, created }, mountpoint: found?.mountpoint ?? "", scope, status: found?.status };
  }

  async #remove(record: VolumeRecord, force: boolean): Promise<void> {
    const { name } = record;
    const driver = await this.parts.drivers.byName(record.driver);
    try {
      await driver.release(name);
    } catch (error) {
      if (force) await this.#forget(record);
      throw prefixed(`remove ${name}`, error);
    }
    await this.#forget(record, true);
    this.parts.fault("volume.forgotten");
    await driver.discard(name).catch((error: unknown) => {
      this.parts.log.warn({ volume: name, err: errorMessage(error) }, "left behind by a removed volume, will be swept");
    });
  }

  async #forget({ name, driver }: VolumeRecord, destroyed = false): Promise<void> {
    const event = volumeEvent(this.parts.nodeId, "destroy", name, { driver });
    await this.parts.records.commit({ delVolumes: [name], ...(destroyed && { events: [event] }) });
    this.#byName.delete(name);
  }
}

/** RFC 3339 with whole seconds, as clients get it. */
const now = (): string => `${new Date().toISOString().slice(0, 19)}Z`;

/** The error with what was being done before it. */
export function prefixed(what: string, error: unknown): Error {
  if (!isBerthError(error)) return new BerthError("INTERNAL", `${what}: ${errorMessage(error)}`, {}, { cause: error });
  return new BerthError(error.reason, `${what}: ${error.message}`, error.details, { cause: error });
}
