import type { Command, Context } from "./command.ts";
import { commands, groups, type Load } from "./commands/index.ts";
import { findAddress } from "./engine/address.ts";
import { Engine, EngineError } from "./engine/client.ts";
import { parseFlags, UsageError } from "./flags.ts";
import { globalFlags, helpFlag } from "./global-flags.ts";
import { commandHelp, groupHelp, mainHelp } from "./help.ts";
import { printTo } from "./output/print.ts";

/** Runs one command line; resolves to its exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  let failure = 1;
  try {
    const globals = parseFlags(argv, globalFlags, false);
    if (globals.bool("version")) return await say("berth version 0.1.0\n");
    const [word, ...rest] = globals.args;
    if (word === undefined || word === "help" || globals.bool("help"))
      return await help(word === "help" ? rest : globals.args);
    const found = find([word, ...rest]);
    if (found === undefined) return unknown(word, rest);
    if (found.group !== undefined) return await say(groupHelp(found.group));
    const { default: command } = await found.load();
    failure = command.failure ?? 1;
    return await runCommand(command, found.rest, globals.text("host"));
  } catch (error) {
    return fail(error, failure);
  }
}

async function runCommand(command: Command, argv: readonly string[], host: string | undefined): Promise<number> {
  const flags = parseFlags(argv, [...command.flags, helpFlag], command.interspersed ?? true);
  if (flags.bool("help")) return say(commandHelp(command));
  const [least, most] = command.args;
  if (flags.args.length < least || flags.args.length > most) {
    const wanted =
      least === most ? `exactly ${least}` : flags.args.length < least ? `at least ${least}` : `at most ${most}`;
    throw new UsageError(
      `"berth ${command.usage.split(" [")[0]}" takes ${wanted} argument${wanted.endsWith(" 1") ? "" : "s"}`,
    );
  }
  const context: Context = {
    engine: new Engine(findAddress(host, process.env)),
    flags,
    args: flags.args,
    print: (text) => printTo(process.stdout, text),
    warn: (text) => {
      process.stderr.write(`${text}\n`);
    },
  };
  return command.run(context);
}

interface Found {
  load: Load;
  rest: readonly string[];
  group?: string;
}

function find(words: readonly string[]): Found | undefined {
  const [first = "", second = "", ...rest] = words;
  const group = groups[first];
  if (group === undefined) {
    const load = commands[first]?.load;
    return load === undefined ? undefined : { load, rest: words.slice(1) };
  }
  const load = group.commands[second]?.load;
  if (load !== undefined) return { load, rest };
  const asksHelp = second === "" || second === "--help" || second === "-h";
  return asksHelp ? { load: neverLoaded, rest: [], group: first } : undefined;
}

const neverLoaded: Load = () => Promise.reject(new Error("a group is not a command"));

async function help(words: readonly string[]): Promise<number> {
  if (words.length === 0) return say(mainHelp(globalFlags));
  const found = find(words);
  if (found === undefined) return unknown(words[0] ?? "", words.slice(1));
  if (found.group !== undefined) return say(groupHelp(found.group));
  return say(commandHelp((await found.load()).default));
}

function unknown(word: string, rest: readonly string[]): number {
  const shown = groups[word] === undefined ? word : `${word} ${rest[0] ?? ""}`.trim();
  process.stderr.write(`berth: "${shown}" is not a berth command.\nSee "berth --help".\n`);
  return 1;
}

async function say(text: string): Promise<number> {
  await printTo(process.stdout, text);
  return 0;
}

function fail(error: unknown, failure: number): number {
  if (error instanceof UsageError) {
    process.stderr.write(`berth: ${error.message}\n\nRun "berth COMMAND --help" for more.\n`);
    return failure === 1 ? 1 : failure;
  }
  if (error instanceof EngineError) {
    process.stderr.write(error.status === 0 ? `${error.message}\n` : `Error response from engine: ${error.message}\n`);
    return failure;
  }
  if ((error as NodeJS.ErrnoException).code === "EPIPE") return 0;
  process.stderr.write(`berth: ${error instanceof Error ? error.message : String(error)}\n`);
  return failure;
}
