import type { Flag } from "../flags.ts";

/** One command line's place in the table: "container run" with its flags. */
export interface Leaf {
  /** Words after "berth". */
  path: readonly string[];
  summary: string;
  flags: readonly Flag[];
}

/** The whole command table, loaded. */
export interface Tree {
  /** What may follow "berth": commands and groups. */
  first: readonly { word: string; summary: string }[];
  /** What may follow a group. */
  groups: Readonly<Record<string, readonly { word: string; summary: string }[]>>;
  leaves: readonly Leaf[];
  globals: readonly Flag[];
}

/** "--name" and "-n" of flags, and of those that take a value alone. */
export function flagWords(flags: readonly Flag[], onlyWithValue = false): string[] {
  return flags
    .filter(({ type }) => !onlyWithValue || type !== "bool")
    .flatMap(({ name, short }) => (short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`]));
}

/** Text within single quotes of a shell. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
