import { errorMessage } from "@berth/errors";
import { familiarName, parseReference } from "@berth/oci";
import type { Container } from "../rpc/types.ts";
import { configJson } from "../shapes/config.ts";
import { applyChanges, type ChangedConfig } from "./changes/changes.ts";
import { invalid } from "./changes/words.ts";

/** The fields of a container's config that an image has too (image-spec, config.md, and Docker's additions). */
const imageFields = [
  "User",
  "ExposedPorts",
  "Env",
  "Entrypoint",
  "Cmd",
  "Volumes",
  "WorkingDir",
  "Labels",
  "StopSignal",
  "ArgsEscaped",
  "Healthcheck",
  "OnBuild",
  "Shell",
] as const;

/**
 * The config of an image made of a container: the given one or else the container's, with Dockerfile instructions applied, and from the
 * container what it leaves open.
 * @throws INVALID_ARGUMENT
 */
export function committedConfig(
  container: Container,
  given: ChangedConfig | undefined,
  changes: readonly string[],
): { config: object; containerConfig: object } {
  const containerConfig = configJson(container);
  const own = containerConfig as ChangedConfig;
  const base = given ?? own;
  const changed = changes.length === 0 ? structuredClone(base) : applyChanges(changes, withoutNulls(base));
  const merged = fillFrom(changed, own) as Record<string, unknown>;
  const config = imageFields.flatMap((field) => {
    const value = merged[field];
    return isEmpty(value) ? [] : [[field, value] as const];
  });
  return { config: Object.fromEntries(config), containerConfig };
}

/** A config's lists and maps as they are changed: null is none. */
function withoutNulls(config: ChangedConfig): ChangedConfig {
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== null));
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/** Docker's rules of what an image's config takes over from its container. */
function fillFrom(config: ChangedConfig, own: ChangedConfig): ChangedConfig {
  const hasEntrypoint = !isEmpty(config.Entrypoint);
  const names = new Set((config.Env ?? []).map((entry) => entry.split("=", 1)[0]));
  const missing = (own.Env ?? []).filter((entry) => !names.has(entry.split("=", 1)[0]));
  const filled: ChangedConfig = {
    ...config,
    User: config.User || own.User || "",
    ExposedPorts: { ...own.ExposedPorts, ...config.ExposedPorts },
    Env: [...(config.Env ?? []), ...missing],
    Labels: { ...own.Labels, ...config.Labels },
    Volumes: { ...own.Volumes, ...config.Volumes },
    WorkingDir: config.WorkingDir || own.WorkingDir || "",
    StopSignal: config.StopSignal || own.StopSignal || "",
  };
  if (!hasEntrypoint) {
    if (isEmpty(config.Cmd)) filled.Cmd = own.Cmd ?? null;
    filled.Entrypoint ??= own.Entrypoint ?? null;
  }
  if (own.Healthcheck !== undefined) {
    const test = config.Healthcheck?.Test?.length ? {} : { Test: own.Healthcheck.Test ?? [] };
    filled.Healthcheck = { ...own.Healthcheck, ...config.Healthcheck, ...test };
  }
  return filled;
}

/** "repo" and "tag" of a query as one reference; "" for none. @throws INVALID_ARGUMENT */
export function commitReference(repository: string, tag: string): string {
  if (repository === "") return "";
  let parsed: ReturnType<typeof parseReference>;
  try {
    parsed = parseReference(repository);
  } catch (error) {
    throw invalid(errorMessage(error));
  }
  if (parsed.digest !== undefined) throw invalid("cannot import digest reference");
  const chosen = tag === "" ? (parsed.tag ?? "latest") : tag;
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(chosen)) throw invalid("invalid tag format");
  return `${familiarName(parsed)}:${chosen}`;
}
