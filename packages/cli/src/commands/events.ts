import type { Command } from "../command.ts";
import { jsonLines } from "../engine/client.ts";
import { Template } from "../output/template.ts";
import { filterQuery } from "./filters.ts";
import { timeOf } from "./logs.ts";

interface Event {
  Type: string;
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
  timeNano: number;
}

const command: Command = {
  usage: "events [OPTIONS]",
  summary: "Show what happens, as it happens",
  flags: [
    {
      name: "filter",
      short: "f",
      type: "list",
      value: "key=value",
      help: "Show those that match (type, event, container, image, label)",
    },
    { name: "format", type: "string", help: "json, or a template" },
    { name: "since", type: "string", value: "time", help: "Begin with what happened then" },
    { name: "until", type: "string", value: "time", help: "End then" },
  ],
  examples: ["berth events", "berth events --since 10m --filter type=container"],
  args: [0, 0],
  async run({ engine, flags, print }) {
    const format = flags.text("format");
    const template = format === undefined || format === "json" ? undefined : new Template(format);
    const query = {
      since: timeOf(flags.text("since")),
      until: timeOf(flags.text("until")),
      filters: filterQuery(flags.list("filter")),
    };
    const answer = await engine.open("GET", "/events", { query });
    for await (const event of jsonLines<Event>(answer)) {
      if (format === "json") await print(`${JSON.stringify(event)}\n`);
      else await print(`${template?.render(event) ?? lineOf(event)}\n`);
    }
    return 0;
  },
};

function lineOf({ Type, Action, Actor, timeNano }: Event): string {
  const attributes = Object.entries(Actor.Attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  const shown = attributes.map(([key, value]) => `${key}=${value}`).join(", ");
  return `${new Date(timeNano / 1e6).toISOString()} ${Type} ${Action} ${Actor.ID}${shown === "" ? "" : ` (${shown})`}`;
}

export default command;
