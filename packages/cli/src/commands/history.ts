import type { Command } from "../command.ts";
import { ago, ellipsis, shortId, size } from "../output/human.ts";
import { type Column, renderRows } from "../output/table.ts";

interface Step {
  Id: string;
  Created: number;
  CreatedBy: string;
  Size: number;
  Comment: string;
}

const columns: Column[] = [
  { heading: "IMAGE", field: "ID" },
  { heading: "CREATED", field: "CreatedSince" },
  { heading: "CREATED BY", field: "CreatedBy" },
  { heading: "SIZE", field: "Size" },
  { heading: "COMMENT", field: "Comment" },
];

const command: Command = {
  usage: "history [OPTIONS] IMAGE",
  summary: "Show the steps that made an image",
  flags: [
    { name: "format", type: "string", help: "json, or a template" },
    { name: "human", short: "H", type: "bool", help: "Sizes and dates for people (default true)" },
    { name: "no-trunc", type: "bool", help: "Show everything whole" },
    { name: "quiet", short: "q", type: "bool", help: "Show ids alone" },
  ],
  examples: ["berth history busybox"],
  args: [1, 1],
  async run({ engine, flags, args: [name = ""], print }) {
    const steps = await engine.json<Step[]>("GET", `/images/${name}/history`);
    const whole = flags.bool("no-trunc");
    const human = flags.bool("human") || !flags.has("human");
    const rows = steps.map((step) => ({
      ID: whole ? step.Id : shortId(step.Id),
      CreatedAt: dateOf(step.Created),
      CreatedSince: human ? (step.Created === 0 ? "N/A" : ago(step.Created)) : dateOf(step.Created),
      CreatedBy: whole ? step.CreatedBy : ellipsis(step.CreatedBy.replaceAll("\t", " "), 45),
      Size: human ? size(step.Size) : step.Size,
      Comment: step.Comment,
    }));
    if (flags.bool("quiet")) await print(rows.map(({ ID }) => `${ID}\n`).join(""));
    else await print(renderRows(flags.text("format"), columns, rows));
    return 0;
  },
};

const dateOf = (seconds: number): string => new Date(seconds * 1000).toISOString().replace(".000Z", "Z");

export default command;
