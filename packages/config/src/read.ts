import { BerthError } from "@berth/errors";
import { Mismatch, parseField, splitList } from "./parse.ts";

/**
 * One setting. Without `default` it is required, unless `optional` says that it may be undefined. Durations are in
 * milliseconds once read. `min` and `max` bound numbers and durations; `choices` bounds strings.
 */
export interface Field {
  readonly env: string;
  readonly flag: string;
  readonly type: "string" | "number" | "boolean" | "duration" | "list";
  readonly default?: string | number | boolean | readonly string[];
  readonly optional?: true;
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
  readonly doc: string;
}

export type ConfigSpec = Readonly<Record<string, Field>>;

type ValueOf<F extends Field> = F["type"] extends "string"
  ? string
  : F["type"] extends "number" | "duration"
    ? number
    : F["type"] extends "boolean"
      ? boolean
      : readonly string[];

export type ConfigOf<S extends ConfigSpec> = {
  readonly [K in keyof S]: S[K]["optional"] extends true ? ValueOf<S[K]> | undefined : ValueOf<S[K]>;
};

export interface Sources {
  env?: NodeJS.ProcessEnv;
  /** Arguments after the script's name. */
  argv?: readonly string[];
  /** Environment keys that start with this are meant for this reader: an unknown one is an error, not noise. */
  envPrefix?: string;
}

/** Reads and checks every setting of `spec`. Throws INVALID_ARGUMENT with the key's name and what was expected. */
export function readConfig<const S extends ConfigSpec>(spec: S, sources: Sources = {}): ConfigOf<S> {
  const { env = process.env, argv = process.argv.slice(2), envPrefix } = sources;
  if (envPrefix !== undefined) refuseUnknownKeys(spec, env, envPrefix);
  const flags = readFlags(spec, argv);
  const result: Record<string, unknown> = {};
  for (const [name, field] of Object.entries<Field>(spec)) {
    result[name] = flags.has(name) ? flags.get(name) : fromEnvironment(field, env);
  }
  return Object.freeze(result) as ConfigOf<S>;
}

/** The settings as text, one a line, for --help. */
export function usage(spec: ConfigSpec): string {
  const rows = Object.values(spec).map((field) => {
    const value = field.type === "boolean" ? "" : ` ${field.type.toUpperCase()}`;
    const fallback = field.default === undefined ? "" : ` (default ${String(field.default)})`;
    return [`  --${field.flag}${value}`, `${field.doc}${fallback} [${field.env}]`] as const;
  });
  const width = Math.max(0, ...rows.map(([left]) => left.length)) + 2;
  return rows.map(([left, right]) => left.padEnd(width) + right).join("\n");
}

function fromEnvironment(field: Field, env: NodeJS.ProcessEnv): unknown {
  const text = env[field.env];
  // An empty variable is how shells and unit files say "not set".
  if (text !== undefined && text !== "") return parse(field, text, field.env);
  if (field.default !== undefined) return field.default;
  if (field.optional) return undefined;
  throw new BerthError("INVALID_ARGUMENT", `${field.env} (or --${field.flag}) is required: ${field.doc}`);
}

function readFlags(spec: ConfigSpec, argv: readonly string[]): Map<string, unknown> {
  const byFlag = new Map(Object.entries(spec).map(([name, field]) => [field.flag, { name, field }]));
  const found = new Map<string, unknown>();
  for (let index = 0; index < argv.length; index++) {
    const [flag, inline] = splitFlag(argv[index] ?? "");
    const negated = flag.startsWith("no-") ? byFlag.get(flag.slice(3)) : undefined;
    if (negated?.field.type === "boolean" && inline === undefined) {
      found.set(negated.name, false);
      continue;
    }
    const known = byFlag.get(flag);
    if (known === undefined) throw new BerthError("INVALID_ARGUMENT", `unknown flag --${flag}`);
    const { name, field } = known;
    if (field.type === "boolean" && inline === undefined) {
      found.set(name, true);
      continue;
    }
    const text = inline ?? argv[++index];
    if (text === undefined) throw new BerthError("INVALID_ARGUMENT", `--${flag} expects a value: ${field.doc}`);
    if (field.type === "list") found.set(name, [...((found.get(name) as string[]) ?? []), ...splitList(text)]);
    else found.set(name, parse(field, text, `--${flag}`));
  }
  return found;
}

function splitFlag(argument: string): [flag: string, value: string | undefined] {
  if (!argument.startsWith("--")) throw new BerthError("INVALID_ARGUMENT", `unexpected argument "${argument}"`);
  const equals = argument.indexOf("=");
  return equals < 0 ? [argument.slice(2), undefined] : [argument.slice(2, equals), argument.slice(equals + 1)];
}

function parse(field: Field, text: string, key: string): unknown {
  try {
    return parseField(field, text);
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error;
    throw new BerthError("INVALID_ARGUMENT", `${key}: "${text}" is not valid, expected ${error.expected}`);
  }
}

function refuseUnknownKeys(spec: ConfigSpec, env: NodeJS.ProcessEnv, prefix: string): void {
  const known = new Set(Object.values(spec).map((field) => field.env));
  const unknown = Object.keys(env).filter((key) => key.startsWith(prefix) && !known.has(key));
  if (unknown.length > 0) {
    throw new BerthError("INVALID_ARGUMENT", `unknown setting ${unknown.join(", ")} in the environment`);
  }
}
