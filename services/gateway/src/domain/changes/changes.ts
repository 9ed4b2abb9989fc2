import { posix } from "node:path";
import { isSignal } from "../create/signals.ts";
import { type Healthcheck, parseHealthcheck } from "./healthcheck.ts";
import { expand, invalid, jsonList, type Lookup, pairs, splitWords } from "./words.ts";

/** The "config" object of an image, as far as changes reach. */
export interface ChangedConfig {
  User?: string;
  ExposedPorts?: Record<string, object>;
  Env?: string[];
  Entrypoint?: string[] | null;
  Cmd?: string[] | null;
  Volumes?: Record<string, object>;
  WorkingDir?: string;
  Labels?: Record<string, string>;
  StopSignal?: string;
  OnBuild?: string[];
  Healthcheck?: Healthcheck;
  Shell?: string[];
}

/**
 * Applies Dockerfile instructions to a config, which stays as it is (`docker import --change`, `docker commit --change`).
 * @throws INVALID_ARGUMENT for an instruction that is unknown or not allowed here, in the words of Docker's Dockerfile reader
 */
export function applyChanges(changes: readonly string[], base: ChangedConfig = {}): ChangedConfig {
  const change = new Changing(structuredClone(base));
  // A backslash at a line's end joins it with the next.
  const lines = changes
    .join("\n")
    .replace(/\\[ \t]*\n/g, "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (lines.length === 0) throw invalid("file with no instructions");
  const parsed = lines.map(parseLine);
  for (const { word, instruction } of parsed) {
    if (instruction === undefined) throw invalid(`${word} is not a valid change command`);
  }
  for (const { name, rest, instruction } of parsed) {
    if (rest === "" && !mayBeEmpty.has(name)) throw invalid(`${name} requires ${count(name)} argument`);
    instruction?.(change, rest);
  }
  return change.config;
}

function parseLine(line: string) {
  const [, word = "", rest = ""] = /^(\S+)\s*(.*)$/s.exec(line) ?? [];
  const name = word.toUpperCase();
  return { word, name, rest: rest.trim(), instruction: instructions.get(name) };
}

const mayBeEmpty = new Set(["CMD", "ENTRYPOINT"]);
const takesOne = new Set(["USER", "WORKDIR", "STOPSIGNAL"]);
const count = (name: string): string => (takesOne.has(name) ? "exactly one" : "at least one");

class Changing {
  readonly config: ChangedConfig;
  cmdIsSet = false;

  constructor(config: ChangedConfig) {
    this.config = config;
  }

  readonly lookup: Lookup = (name) =>
    this.config.Env?.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);

  expand(text: string): string {
    return expand(text, this.lookup);
  }

  /** ["a","b"] as it is; anything else is for a shell. */
  command(rest: string): string[] | null {
    if (rest === "") return null;
    const shell = this.config.Shell?.length ? this.config.Shell : ["/bin/sh", "-c"];
    return jsonList(rest) ?? [...shell, rest];
  }
}

type Instruction = (change: Changing, rest: string) => void;

const instructions = new Map<string, Instruction>([
  [
    "CMD",
    (change, rest) => {
      change.config.Cmd = change.command(rest);
      change.cmdIsSet = true;
    },
  ],
  [
    "ENTRYPOINT",
    (change, rest) => {
      change.config.Entrypoint = change.command(rest);
      // The old command was for the old entry point.
      if (!change.cmdIsSet) change.config.Cmd = null;
    },
  ],
  ["ENV", changeEnv],
  ["EXPOSE", changePorts],
  [
    "LABEL",
    ({ config, lookup }, rest) => {
      config.Labels = { ...config.Labels, ...Object.fromEntries(pairs("LABEL", rest, lookup)) };
    },
  ],
  ["ONBUILD", changeOnBuild],
  [
    "STOPSIGNAL",
    (change, rest) => {
      const signal = change.expand(rest);
      if (!isSignal(signal)) throw invalid(`invalid signal: ${signal}`);
      change.config.StopSignal = signal;
    },
  ],
  [
    "USER",
    (change, rest) => {
      change.config.User = change.expand(rest);
    },
  ],
  ["VOLUME", changeVolumes],
  [
    "WORKDIR",
    (change, rest) => {
      change.config.WorkingDir = posix.resolve("/", change.config.WorkingDir ?? "/", change.expand(rest));
    },
  ],
  [
    "HEALTHCHECK",
    ({ config }, rest) => {
      config.Healthcheck = parseHealthcheck(rest);
    },
  ],
]);

function changeEnv({ config, lookup }: Changing, rest: string): void {
  const kept = config.Env ?? [];
  config.Env = kept;
  for (const [key, value] of pairs("ENV", rest, lookup)) {
    const at = kept.findIndex((entry) => entry.startsWith(`${key}=`));
    if (at === -1) kept.push(`${key}=${value}`);
    else kept[at] = `${key}=${value}`;
  }
}

function changePorts(change: Changing, rest: string): void {
  const ports = { ...change.config.ExposedPorts };
  for (const word of splitWords(rest).map((text) => change.expand(text))) {
    for (const port of portsOf(word)) ports[port] = {};
  }
  change.config.ExposedPorts = ports;
}

/** "80", "80-82/udp", "8080:80". */
function portsOf(word: string): string[] {
  const [address = "", protocol = "tcp"] = word.split("/");
  const text = address.split(":").at(-1) ?? "";
  const wrong = () => invalid(`Invalid containerPort: ${text}`);
  const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (range === null) throw wrong();
  const first = Number(range[1]);
  const last = Number(range[2] ?? first);
  if (first > last || last > 65_535) throw wrong();
  if (!["tcp", "udp", "sctp"].includes(protocol.toLowerCase())) throw invalid(`Invalid proto: ${protocol}`);
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol.toLowerCase()}`);
}

function changeOnBuild({ config }: Changing, rest: string): void {
  const trigger = /^\S+/.exec(rest)?.[0].toUpperCase() ?? "";
  if (trigger === "ONBUILD") throw invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (trigger === "MAINTAINER" || trigger === "FROM") throw invalid(`${trigger} isn't allowed as an ONBUILD trigger`);
  config.OnBuild = [...(config.OnBuild ?? []), rest];
}

function changeVolumes(change: Changing, rest: string): void {
  const paths = jsonList(rest) ?? splitWords(rest);
  if (paths.length === 0) throw invalid("VOLUME requires at least one argument");
  const volumes = { ...change.config.Volumes };
  for (const path of paths.map((text) => change.expand(text).trim())) {
    if (path === "") throw invalid("VOLUME specified can not be an empty string");
    volumes[path] = {};
  }
  change.config.Volumes = volumes;
}
