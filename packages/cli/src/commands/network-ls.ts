import type { Command } from "../command.ts";
import { shortId } from "../output/human.ts";
import { type Column, renderRows } from "../output/table.ts";
import { filterQuery } from "./filters.ts";

const columns: Column[] = [
  { heading: "NETWORK ID", field: "ID" },
  { heading: "NAME", field: "Name" },
  { heading: "DRIVER", field: "Driver" },
  { heading: "SCOPE", field: "Scope" },
];

const command: Command = {
  usage: "network ls [OPTIONS]",
  summary: "List networks",
  flags: [
    { name: "filter", short: "f", type: "list", value: "key=value", help: "Show those that match (driver, name, id)" },
    { name: "format", type: "string", help: "json, or a template" },
    { name: "quiet", short: "q", type: "bool", help: "Show ids alone" },
  ],
  examples: ["berth network ls"],
  args: [0, 0],
  async run({ engine, flags, print }) {
    const query = { filters: filterQuery(flags.list("filter")) };
    const found = await engine.json<{ Id: string; Name: string; Driver: string; Scope: string }[]>("GET", "/networks", {
      query,
    });
    const rows = found.map(({ Id, ...rest }) => ({
      ID: shortId(Id),
      Name: rest.Name,
      Driver: rest.Driver,
      Scope: rest.Scope,
    }));
    if (flags.bool("quiet")) await print(rows.map(({ ID }) => `${ID}\n`).join(""));
    else await print(renderRows(flags.text("format"), columns, rows));
    return 0;
  },
};

export default command;
