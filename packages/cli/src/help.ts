import type { Command } from "./command.ts";
import { commands, groups } from "./commands/index.ts";
import type { Flag } from "./flags.ts";
import { bold } from "./output/print.ts";

export function mainHelp(flags: readonly Flag[]): string {
  return [
    "Usage:  berth [OPTIONS] COMMAND\n\nContainers, in docker's words.\n",
    section("Common commands", pairs(commands, ["run", "exec", "ps", "logs", "pull", "images", "version", "info"])),
    section("Commands", pairs(commands, Object.keys(commands).sort())),
    section(
      "Groups",
      Object.entries(groups).map(([name, { summary }]) => [name, summary]),
    ),
    section("Options", flags.map(flagRow)),
    "The engine is found by --host, BERTH_HOST or DOCKER_HOST, else at unix:///run/berth/berth.sock.\n" +
      'Run "berth COMMAND --help" for more on a command.\n',
  ].join("\n");
}

export function groupHelp(name: string): string {
  const group = groups[name];
  if (group === undefined) return "";
  return [
    `Usage:  berth ${name} COMMAND\n\n${group.summary}\n`,
    section("Commands", pairs(group.commands, Object.keys(group.commands).sort())),
  ].join("\n");
}

export function commandHelp(command: Command): string {
  return [
    `Usage:  berth ${command.usage}\n\n${command.summary}\n`,
    ...(command.flags.length === 0 ? [] : [section("Options", command.flags.map(flagRow))]),
    section(
      "Examples",
      command.examples.map((example) => [example, ""]),
    ),
  ].join("\n");
}

function pairs(table: Record<string, { summary: string }>, names: readonly string[]): [string, string][] {
  return names.map((name) => [name, table[name]?.summary ?? ""]);
}

function flagRow(flag: Flag): [string, string] {
  const short = flag.short === undefined ? "    " : `-${flag.short}, `;
  const value = flag.type === "bool" ? "" : ` ${flag.value ?? flag.type}`;
  return [`${short}--${flag.name}${value}`, flag.help];
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  const lines = rows.map(([left, right]) => `  ${left.padEnd(right === "" ? 0 : width + 3)}${right}\n`);
  return `${bold(`${title}:`)}\n${lines.join("")}`;
}
