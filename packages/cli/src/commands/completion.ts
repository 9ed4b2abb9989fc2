import type { Command } from "../command.ts";
import { bashCompletion } from "../completion/bash.ts";
import { fishCompletion } from "../completion/fish.ts";
import type { Leaf, Tree } from "../completion/words.ts";
import { zshCompletion } from "../completion/zsh.ts";
import { UsageError } from "../flags.ts";
import { globalFlags, helpFlag } from "../global-flags.ts";
import { commands, type Entry, groups } from "./index.ts";

const shells: Record<string, (tree: Tree) => string> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

/** The whole command table with every command's flags: completion can't miss what a command takes. */
export async function commandTree(): Promise<Tree> {
  const listed = (entries: Record<string, { summary: string }>) =>
    Object.entries(entries).map(([word, { summary }]) => ({ word, summary }));
  const load = async (path: string[], { summary, load }: Entry): Promise<Leaf> => {
    const { default: command } = await load();
    return { path, summary, flags: [...command.flags, helpFlag] };
  };
  const leaves = [
    ...Object.entries(commands).map(([word, entry]) => load([word], entry)),
    ...Object.entries(groups).flatMap(([group, { commands: inside }]) =>
      Object.entries(inside).map(([word, entry]) => load([group, word], entry)),
    ),
  ];
  return {
    first: [...listed(commands), ...listed(groups)],
    groups: Object.fromEntries(Object.entries(groups).map(([group, { commands: inside }]) => [group, listed(inside)])),
    leaves: await Promise.all(leaves),
    globals: globalFlags,
  };
}

const command: Command = {
  usage: "completion SHELL",
  summary: "Print a completion script for bash, zsh or fish",
  flags: [],
  examples: ["source <(berth completion bash)", "berth completion fish | source"],
  args: [1, 1],
  async run({ args, print }) {
    const [shell = ""] = args;
    const script = Object.hasOwn(shells, shell) ? shells[shell] : undefined;
    if (script === undefined) throw new UsageError(`"${shell}" is no shell known here: bash, zsh or fish`);
    await print(script(await commandTree()));
    return 0;
  },
};

export default command;
