import { BerthError } from "@berth/errors";
import { isSignal } from "./create/signals.ts";

/** The "config" object of an image, as far as changes reach. */
export interface ChangedConfig {
  User?: string;
  ExposedPorts?: Record<string, object>;
  Env?: string[];
  Entrypoint?: string[];
  Cmd?: string[];
  Volumes?: Record<string, object>;
  WorkingDir?: string;
  Labels?: Record<string, string>;
  StopSignal?: string;
  OnBuild?: string[];
}

/**
 * Applies Dockerfile instructions to an empty config (`docker import --change`).
 * @throws INVALID_ARGUMENT for an instruction that is unknown or not allowed here
 */
export function applyChanges(changes: readonly string[]): ChangedConfig {
  const config: ChangedConfig = {};
  for (const line of changes.flatMap((change) => change.split("\n"))) {
    if (line.trim() !== "") applyChange(config, line.trim());
  }
  return config;
}

function applyChange(config: ChangedConfig, line: string): void {
  const [, word = "", rest = ""] = /^(\S+)\s*(.*)$/s.exec(line) ?? [];
  const name = word.toUpperCase();
  const apply = instructions[name];
  if (apply === undefined) throw invalid(`${name} is not a valid change command`);
  if (rest === "") throw invalid(`${name} requires at least one argument`);
  apply(config, rest);
}

const instructions: Record<string, (config: ChangedConfig, rest: string) => void> = {
  CMD: (config, rest) => {
    config.Cmd = command(rest);
  },
  ENTRYPOINT: (config, rest) => {
    config.Entrypoint = command(rest);
  },
  ENV: (config, rest) => {
    const kept = config.Env ?? [];
    for (const [key, value] of pairs("ENV", rest)) {
      const at = kept.findIndex((entry) => entry.startsWith(`${key}=`));
      if (at === -1) kept.push(`${key}=${value}`);
      else kept[at] = `${key}=${value}`;
    }
    config.Env = kept;
  },
  EXPOSE: (config, rest) => {
    config.ExposedPorts ??= {};
    for (const port of rest.split(/\s+/)) {
      if (!/^[0-9]{1,5}(\/(tcp|udp|sctp))?$/i.test(port)) throw invalid(`Invalid containerPort: ${port}`);
      config.ExposedPorts[port.includes("/") ? port.toLowerCase() : `${port}/tcp`] = {};
    }
  },
  LABEL: (config, rest) => {
    config.Labels = { ...config.Labels, ...Object.fromEntries(pairs("LABEL", rest)) };
  },
  ONBUILD: (config, rest) => {
    config.OnBuild = [...(config.OnBuild ?? []), rest];
  },
  STOPSIGNAL: (config, rest) => {
    if (!isSignal(rest)) throw invalid(`invalid signal: ${rest}`);
    config.StopSignal = rest;
  },
  USER: (config, rest) => {
    config.User = rest;
  },
  VOLUME: (config, rest) => {
    config.Volumes ??= {};
    for (const path of jsonList(rest) ?? rest.split(/\s+/)) config.Volumes[path] = {};
  },
  WORKDIR: (config, rest) => {
    const base = config.WorkingDir ?? "/";
    config.WorkingDir = rest.startsWith("/") ? rest : `${base === "/" ? "" : base}/${rest}`;
  },
};

/** ["a","b"] as it is; anything else is for a shell. */
function command(rest: string): string[] {
  return jsonList(rest) ?? ["/bin/sh", "-c", rest];
}

function jsonList(text: string): string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) && parsed.every((item) => typeof item === "string") ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** `a=b c="d e"`, or the old form `a b c` for one variable. */
function pairs(instruction: string, rest: string): [string, string][] {
  const result: [string, string][] = [];
  const pattern = /\s*((?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+)/gy;
  const wordsFound: string[] = [];
  for (const match of rest.matchAll(pattern)) wordsFound.push(match[1] ?? "");
  const first = wordsFound[0] ?? "";
  if (!first.includes("=")) {
    const space = rest.search(/\s/);
    if (space === -1) throw invalid(`${instruction} must have two arguments`);
    return [[rest.slice(0, space), rest.slice(space).trim()]];
  }
  for (const word of wordsFound) {
    const end = word.indexOf("=");
    if (end <= 0)
      throw invalid(`Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`);
    result.push([unquote(word.slice(0, end)), unquote(word.slice(end + 1))]);
  }
  return result;
}

function unquote(text: string): string {
  return text.replace(
    /"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)/gs,
    (_whole, double?: string, single?: string, escaped?: string) => {
      if (double !== undefined) return double.replace(/\\(["\\$])/g, "$1");
      return single ?? escaped ?? "";
    },
  );
}

function invalid(message: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", message);
}
