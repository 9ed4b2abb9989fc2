import type { Command } from "../command.ts";
import { UsageError } from "../flags.ts";
import { parseNanos } from "../output/human.ts";
import { printTo } from "../output/print.ts";
import { demultiplex } from "../terminal.ts";
import { containerPath } from "./each.ts";

const command: Command = {
  usage: "logs [OPTIONS] CONTAINER",
  summary: "Show what a container has printed",
  flags: [
    { name: "details", type: "bool", help: "Show attributes too" },
    { name: "follow", short: "f", type: "bool", help: "Go on with what it prints from now on" },
    { name: "since", type: "string", value: "time", help: "From then on (2026-01-02T13:23:37Z, or 42m ago)" },
    { name: "tail", short: "n", type: "string", value: "lines", help: "Lines from the end (default all)" },
    { name: "timestamps", short: "t", type: "bool", help: "Show when" },
    { name: "until", type: "string", value: "time", help: "Up to then" },
  ],
  examples: ["berth logs web", "berth logs -f --tail 20 web", "berth logs --since 5m web"],
  args: [1, 1],
  async run({ engine, flags, args: [name = ""] }) {
    const { Config } = await engine.json<{ Config: { Tty: boolean } }>("GET", containerPath(name, "/json"));
    const query = {
      stdout: true,
      stderr: true,
      follow: flags.bool("follow"),
      timestamps: flags.bool("timestamps"),
      details: flags.bool("details"),
      tail: flags.text("tail"),
      since: timeOf(flags.text("since")),
      until: timeOf(flags.text("until")),
    };
    const answer = await engine.open("GET", containerPath(name, "/logs"), { query });
    if (!Config.Tty) await demultiplex(answer);
    else for await (const chunk of answer as AsyncIterable<Buffer>) await printTo(process.stdout, chunk);
    return 0;
  },
};

/** A moment, or how long ago, as seconds since the epoch. @throws UsageError */
export function timeOf(text: string | undefined): string | undefined {
  if (text === undefined || /^[0-9]+(\.[0-9]+)?$/.test(text)) return text;
  const nanos = parseNanos(text);
  if (nanos !== undefined) return String(Date.now() / 1000 - nanos / 1e9);
  const date = Date.parse(text);
  if (Number.isNaN(date))
    throw new UsageError(`"${text}" is not a time, expected 2026-01-02T13:23:37Z, seconds since 1970, or 10m`);
  return String(date / 1000);
}

export default command;
