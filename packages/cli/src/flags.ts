/** One option of a command. `list` may be given several times; `bool` takes no value unless written --flag=false. */
export interface Flag {
  name: string;
  short?: string;
  type: "bool" | "string" | "list" | "int";
  /** Placeholder in the help: "--name string". */
  value?: string;
  help: string;
}

export class UsageError extends Error {}

export interface Parsed {
  args: string[];
  bool(name: string): boolean;
  text(name: string): string | undefined;
  list(name: string): string[];
  int(name: string): number | undefined;
  has(name: string): boolean;
}

/**
 * Reads flags in the manner of docker's: --name value, --name=value, -n value, -nvalue, -it, "--" ends them.
 * @param interspersed false: the first word that is not a flag ends them (run, exec)
 * @throws UsageError
 */
export function parseFlags(argv: readonly string[], flags: readonly Flag[], interspersed = true): Parsed {
  const values = new Map<string, string[]>();
  const args: string[] = [];
  const rest = [...argv];
  const set = (flag: Flag, value: string) => {
    if (flag.type === "int" && !/^-?[0-9]+$/.test(value)) {
      throw new UsageError(`invalid argument "${value}" for "--${flag.name}": expected a number`);
    }
    const old = flag.type === "list" ? (values.get(flag.name) ?? []) : [];
    values.set(flag.name, [...old, value]);
  };
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--") {
      args.push(...rest);
      break;
    }
    if (word.startsWith("--")) long(word.slice(2), flags, rest, set);
    else if (word.startsWith("-") && word.length > 1) short(word.slice(1), flags, rest, set);
    else {
      args.push(word);
      if (interspersed) continue;
      args.push(...rest);
      break;
    }
  }
  return {
    args,
    bool: (name) => values.get(name)?.[0] === "true",
    text: (name) => values.get(name)?.at(-1),
    list: (name) => values.get(name) ?? [],
    int: (name) => {
      const value = values.get(name)?.at(-1);
      return value === undefined ? undefined : Number(value);
    },
    has: (name) => values.has(name),
  };
}

type Setter = (flag: Flag, value: string) => void;

function long(word: string, flags: readonly Flag[], rest: string[], set: Setter): void {
  const equals = word.indexOf("=");
  const name = equals === -1 ? word : word.slice(0, equals);
  const flag = flags.find((candidate) => candidate.name === name);
  if (flag === undefined) throw new UsageError(`unknown flag: --${name}`);
  if (equals !== -1) set(flag, flag.type === "bool" ? boolText(flag, word.slice(equals + 1)) : word.slice(equals + 1));
  else if (flag.type === "bool") set(flag, "true");
  else set(flag, next(rest, `--${name}`));
}

function short(word: string, flags: readonly Flag[], rest: string[], set: Setter): void {
  for (let at = 0; at < word.length; at++) {
    const letter = word[at];
    const flag = flags.find((candidate) => candidate.short === letter);
    if (flag === undefined) throw new UsageError(`unknown shorthand flag: '${letter}' in -${word}`);
    if (flag.type === "bool" && word[at + 1] !== "=") {
      set(flag, "true");
      continue;
    }
    const value = word.slice(at + 1).replace(/^=/, "");
    if (flag.type === "bool") set(flag, boolText(flag, value));
    else set(flag, value === "" ? next(rest, `-${letter}`) : value);
    return;
  }
}

function boolText(flag: Flag, value: string): string {
  if (["true", "1", "t"].includes(value)) return "true";
  if (["false", "0", "f"].includes(value)) return "false";
  throw new UsageError(`invalid argument "${value}" for "--${flag.name}": expected true or false`);
}

function next(rest: string[], flag: string): string {
  const value = rest.shift();
  if (value === undefined) throw new UsageError(`flag needs an argument: ${flag}`);
  return value;
}
