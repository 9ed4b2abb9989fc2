import { posix } from "node:path";

/** Docker's "Healthcheck" of an image or a container; times in nanoseconds. */
export interface HealthcheckConfig {
  Test?: string[] | undefined;
  Interval?: number | undefined;
  Timeout?: number | undefined;
  StartPeriod?: number | undefined;
  StartInterval?: number | undefined;
  Retries?: number | undefined;
}

/** The "config" object of an image config (OCI image-spec, config.md, and Docker's additions), as the store has it. */
export interface ImageDefaults {
  User?: string;
  ExposedPorts?: Record<string, unknown> | null;
  Env?: string[] | null;
  Entrypoint?: string[] | null;
  Cmd?: string[] | null;
  Volumes?: Record<string, unknown> | null;
  WorkingDir?: string;
  Labels?: Record<string, string> | null;
  StopSignal?: string;
  Healthcheck?: HealthcheckConfig | null;
  Shell?: string[] | null;
  ArgsEscaped?: boolean;
  OnBuild?: string[] | null;
}

/** What whoever makes a container says of it. Ports and volumes are lists of names. */
export interface OwnSettings {
  User?: string | undefined;
  ExposedPorts?: string[] | undefined;
  Env?: string[] | undefined;
  Entrypoint?: string[] | undefined;
  Cmd?: string[] | undefined;
  Volumes?: string[] | undefined;
  WorkingDir?: string | undefined;
  Labels?: Record<string, string> | undefined;
  StopSignal?: string | undefined;
  Healthcheck?: HealthcheckConfig | undefined;
  Shell?: string[] | undefined;
}

/** What a container will run with: its own settings over its image's. */
export interface MergedConfig {
  user: string;
  exposedPorts: string[];
  env: string[];
  entrypoint: string[];
  cmd: string[];
  volumes: string[];
  workingDir: string;
  labels: Record<string, string>;
  stopSignal: string;
  healthcheck: HealthcheckConfig | undefined;
  shell: string[];
}

/**
 * Lays a container's settings over its image's: lists of ports, volumes, labels and variables are joined (the
 * container's win), an entrypoint of its own takes the image's command away, an empty one too ([""] resets it).
 */
export function mergeImage(own: OwnSettings, image: ImageDefaults): MergedConfig {
  const { entrypoint, cmd } = mergeCommand(own, image);
  return {
    user: own.User || image.User || "",
    exposedPorts: [...new Set([...(own.ExposedPorts ?? []), ...Object.keys(image.ExposedPorts ?? {})])],
    env: mergeEnv(own.Env ?? [], image.Env ?? []),
    entrypoint,
    cmd,
    volumes: [...new Set([...(own.Volumes ?? []), ...Object.keys(image.Volumes ?? {})])],
    workingDir: cleanPath(own.WorkingDir || image.WorkingDir || ""),
    labels: { ...image.Labels, ...own.Labels },
    stopSignal: own.StopSignal || image.StopSignal || "",
    healthcheck: mergeHealth(own.Healthcheck, image.Healthcheck ?? undefined),
    shell: own.Shell ?? image.Shell ?? [],
  };
}

function cleanPath(path: string): string {
  return path === "" ? "" : posix.normalize(path).replace(/(.)\/$/, "$1");
}

function mergeCommand(settings: OwnSettings, image: ImageDefaults): { entrypoint: string[]; cmd: string[] } {
  const own = settings.Entrypoint ?? [];
  if (own.length === 0) {
    const cmd = settings.Cmd !== undefined && settings.Cmd.length > 0 ? settings.Cmd : (image.Cmd ?? []);
    return { entrypoint: image.Entrypoint ?? [], cmd };
  }
  // [""] is how clients write "no entrypoint at all".
  const reset = own.length === 1 && own[0] === "";
  return { entrypoint: reset ? [] : own, cmd: settings.Cmd ?? [] };
}

function mergeEnv(own: readonly string[], image: readonly string[]): string[] {
  const names = new Set(own.map(variableName));
  return [...own, ...image.filter((variable) => !names.has(variableName(variable)))];
}

function variableName(variable: string): string {
  const end = variable.indexOf("=");
  return end === -1 ? variable : variable.slice(0, end);
}

function mergeHealth(
  own: HealthcheckConfig | undefined,
  image: HealthcheckConfig | undefined,
): HealthcheckConfig | undefined {
  if (own === undefined || image === undefined) return own ?? image;
  return {
    Test: (own.Test ?? []).length === 0 ? image.Test : own.Test,
    Interval: own.Interval || image.Interval,
    Timeout: own.Timeout || image.Timeout,
    StartPeriod: own.StartPeriod || image.StartPeriod,
    StartInterval: own.StartInterval || image.StartInterval,
    Retries: own.Retries || image.Retries,
  };
}
