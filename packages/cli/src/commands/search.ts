import type { Command } from "../command.ts";
import { type Column, renderRows } from "../output/table.ts";
import { filterQuery } from "./filters.ts";

interface Result {
  name: string;
  description: string;
  star_count: number;
  is_official: boolean;
}

const columns: Column[] = [
  { heading: "NAME", field: "Name" },
  { heading: "DESCRIPTION", field: "Description" },
  { heading: "STARS", field: "StarCount" },
  { heading: "OFFICIAL", field: "IsOfficial" },
];

const command: Command = {
  usage: "search [OPTIONS] TERM",
  summary: "Search a registry for images",
  flags: [
    {
      name: "filter",
      short: "f",
      type: "list",
      value: "key=value",
      help: "Show those that match (is-official, stars)",
    },
    { name: "format", type: "string", help: "json, or a template" },
    { name: "limit", type: "int", help: "At most so many results" },
    { name: "no-trunc", type: "bool", help: "Show descriptions whole" },
  ],
  examples: ["berth search busybox", "berth search --filter stars=10 --limit 5 127.0.0.1:5000/app"],
  args: [1, 1],
  async run({ engine, flags, args, print }) {
    const query = {
      term: args[0],
      limit: flags.text("limit"),
      filters: filterQuery(flags.list("filter")),
    };
    const found = await engine.json<Result[]>("GET", "/images/search", { query });
    const rows = found.map(({ name, description, star_count, is_official }) => ({
      Name: name,
      Description: flags.bool("no-trunc") ? description : shortened(description.replace(/\s+/g, " ")),
      StarCount: String(star_count),
      IsOfficial: is_official ? "[OK]" : "",
    }));
    await print(renderRows(flags.text("format"), columns, rows));
    return 0;
  },
};

/** characters of a description in a table */
const shown = 45;

function shortened(text: string): string {
  return text.length <= shown ? text : `${text.slice(0, shown - 1)}…`;
}

export default command;
