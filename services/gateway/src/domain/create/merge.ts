import { posix } from "node:path";
import type { CreateBody, HealthcheckBody } from "./body.ts";

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
  Healthcheck?: HealthcheckBody | null;
  Shell?: string[] | null;
  ArgsEscaped?: boolean;
  OnBuild?: string[] | null;
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
  healthcheck: HealthcheckBody | undefined;
  shell: string[];
}

/**
 * Lays a container's settings over its image's: lists of ports, volumes, labels and variables are joined (the
 * container's win), an entrypoint of its own takes the image's command away, an empty one too ([""] resets it).
 */
export function mergeImage(body: CreateBody, image: ImageDefaults): MergedConfig {
  const { entrypoint, cmd } = mergeCommand(body, image);
  return {
    user: body.User || image.User || "",
    exposedPorts: [...new Set([...(body.ExposedPorts ?? []), ...Object.keys(image.ExposedPorts ?? {})])],
    env: mergeEnv(body.Env ?? [], image.Env ?? []),
    entrypoint,
    cmd,
    volumes: [...new Set([...(body.Volumes ?? []), ...Object.keys(image.Volumes ?? {})])],
    workingDir: cleanPath(body.WorkingDir || image.WorkingDir || ""),
    labels: { ...image.Labels, ...body.Labels },
    stopSignal: body.StopSignal || image.StopSignal || "",
    healthcheck: mergeHealth(body.Healthcheck, image.Healthcheck ?? undefined),
    shell: body.Shell ?? image.Shell ?? [],
  };
}

function cleanPath(path: string): string {
  return path === "" ? "" : posix.normalize(path).replace(/(.)\/$/, "$1");
}

function mergeCommand(body: CreateBody, image: ImageDefaults): { entrypoint: string[]; cmd: string[] } {
  const own = body.Entrypoint ?? [];
  if (own.length === 0) {
    const cmd = body.Cmd !== undefined && body.Cmd.length > 0 ? body.Cmd : (image.Cmd ?? []);
    return { entrypoint: image.Entrypoint ?? [], cmd };
  }
  // [""] is how clients write "no entrypoint at all".
  const reset = own.length === 1 && own[0] === "";
  return { entrypoint: reset ? [] : own, cmd: body.Cmd ?? [] };
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
  own: HealthcheckBody | undefined,
  image: HealthcheckBody | undefined,
): HealthcheckBody | undefined {
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
