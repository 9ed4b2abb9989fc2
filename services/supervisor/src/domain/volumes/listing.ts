import { BerthError, errorMessage } from "@berth/errors";
import { diskUsage } from "@berth/isolation";
import { invalid } from "../errors.ts";
import { textOrPattern } from "../pattern.ts";
import { volumeEvent } from "./events.ts";
import { localDriver } from "./local-driver.ts";
import { anonymousLabel, type Volumes, type VolumeView } from "./volumes.ts";

export type VolumeFilters = Readonly<Record<string, readonly string[]>>;

export interface ListedVolume extends VolumeView {
  /** Allocated bytes, -1 where that can't be told; containers that use it. */
  usage?: { size: number; refCount: number };
}

/** `GET /volumes`: ours and those that plugins tell of. A plugin that fails is a warning. @throws INVALID_ARGUMENT */
export async function listVolumes(
  volumes: Volumes,
  filters: VolumeFilters,
): Promise<{ volumes: ListedVolume[]; warnings: string[] }> {
  const matches = filterOf(volumes, filters, ["dangling", "driver", "label", "name"]);
  const warnings: string[] = [];
  const plugins = await volumes.parts.drivers.plugins();
  const lists = await Promise.all(
    plugins.map(async (driver) => {
      try {
        const scope = await driver.scope();
        const found = await driver.list();
        return found.map(({ name, mountpoint, createdAt }): VolumeView => {
          const known = volumes.record(name);
          const { labels = null, options = null } = known?.driver === driver.name ? known : {};
          return {
            record: { v: 1, name, driver: driver.name, labels, options, created: createdAt },
            mountpoint,
            scope,
          };
        });
      } catch (error) {
        warnings.push(`list ${driver.name}: ${errorMessage(error)}`);
        return recorded(volumes, driver.name);
      }
    }),
  );
  const local = recorded(volumes, localDriver).map((view) => ({
    ...view,
    mountpoint: volumes.parts.drivers.local.pathOf(view.record.name),
  }));
  // Of two drivers with a volume of one name, the one that we know it by has it.
  const all = [...local, ...lists.flat()].filter(({ record }) => {
    const known = volumes.record(record.name);
    return known === undefined || known.driver === record.driver;
  });
  return { volumes: all.filter(matches), warnings };
}

const recorded = (volumes: Volumes, driver: string): VolumeView[] =>
  volumes
    .records()
    .filter((record) => record.driver === driver)
    .map((record) => ({ record, mountpoint: "", scope: "local" }));

/** For `GET /system/df`: what lies on this host. Volumes that mount something are not here, whatever they say. */
export async function usageOfVolumes(volumes: Volumes): Promise<ListedVolume[]> {
  const own = volumes.records().filter(({ driver, options }) => driver === localDriver && isPlain(options));
  return Promise.all(
    own.map(async (record) => {
      const mountpoint = volumes.parts.drivers.local.pathOf(record.name);
      const usage = { size: await sizeOf(mountpoint), refCount: volumes.users(record.name).length };
      return { record, mountpoint, scope: "local", usage };
    }),
  );
}

const isPlain = (options: Record<string, string> | null): boolean => Object.keys(options ?? {}).length === 0;

/** Without the directory itself, which every volume has. */
async function sizeOf(path: string): Promise<number> {
  try {
    const { bytes, inodes } = await diskUsage(path);
    return inodes <= 1 ? 0 : bytes;
  } catch {
    return -1;
  }
}

const pruning = new WeakSet<Volumes>();

/** `POST /volumes/prune`. @throws INVALID_ARGUMENT, CONFLICT while another one runs */
export async function pruneVolumes(
  volumes: Volumes,
  filters: VolumeFilters,
  signal?: AbortSignal,
): Promise<{ names: string[]; reclaimed: number }> {
  if (pruning.has(volumes)) throw new BerthError("CONFLICT", "a prune operation is already running");
  pruning.add(volumes);
  try {
    return await prune(volumes, filters, signal);
  } finally {
    pruning.delete(volumes);
  }
}

async function prune(volumes: Volumes, filters: VolumeFilters, signal: AbortSignal | undefined) {
  const { all, ...rest } = filters;
  const label = wantsAll(all ?? []) ? (rest["label"] ?? []) : [...(rest["label"] ?? []), anonymousLabel];
  const matches = filterOf(volumes, { ...rest, label }, ["label", "label!"]);
  const names: string[] = [];
  let reclaimed = 0;
  for (const view of (await usageOfVolumes(volumes)).filter(matches)) {
    if (signal?.aborted) break;
    const { name } = view.record;
    if (volumes.users(name).length > 0) continue;
    try {
      await volumes.remove(name);
    } catch (error) {
      volumes.parts.log.warn({ volume: name, err: errorMessage(error) }, "cannot prune a volume");
      continue;
    }
    names.push(name);
    reclaimed += Math.max(0, view.usage?.size ?? 0);
  }
  const event = volumeEvent(volumes.parts.nodeId, "prune", "", { reclaimed: String(reclaimed) });
  await volumes.parts.records.commitLazily({ events: [event] });
  return { names, reclaimed };
}

function wantsAll(values: readonly string[]): boolean {
  if (values.length > 1) throw invalid(`invalid filter 'all=[${values.join(" ")}]': only one value is expected`);
  const [value] = values;
  if (value === undefined) return false;
  if (["1", "t", "T", "TRUE", "true", "True"].includes(value)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(value)) return false;
  throw invalid(`invalid filter 'all': strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`);
}

function filterOf(volumes: Volumes, filters: VolumeFilters, known: readonly string[]): (view: VolumeView) => boolean {
  for (const key of Object.keys(filters)) if (!known.includes(key)) throw invalid(`invalid filter '${key}'`);
  const { dangling = [], driver = [], label = [], name = [] } = filters;
  const names = name.map(textOrPattern);
  const isDangling = dangling.length === 0 ? undefined : readFlag(dangling);
  return ({ record }) =>
    (driver.length === 0 || driver.includes(record.driver)) &&
    (names.length === 0 || names.some((matches) => matches(record.name))) &&
    label.every((filter) => hasLabel(record.labels, filter)) &&
    !(filters["label!"] ?? []).some((filter) => hasLabel(record.labels, filter)) &&
    (isDangling === undefined || (volumes.users(record.name).length === 0) === isDangling);
}

function readFlag(values: readonly string[]): boolean {
  if (values.every((value) => value === "1" || value === "true")) return true;
  if (values.every((value) => value === "0" || value === "false")) return false;
  throw invalid(`invalid filter 'dangling=[${values.join(" ")}]'`);
}

function hasLabel(labels: Record<string, string> | null, filter: string): boolean {
  const [key = "", value] = filter.split(/=(.*)/s);
  return labels !== null && Object.hasOwn(labels, key) && (value === undefined || labels[key] === value);
}
