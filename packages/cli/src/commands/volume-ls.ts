import type { Command } from "../command.ts";
import { type Column, renderRows } from "../output/table.ts";
import { filterQuery } from "./filters.ts";

interface Volume {
  Driver: string;
  Labels: Record<string, string> | null;
  Mountpoint: string;
  Name: string;
  Scope: string;
}

const columns: Column[] = [
  { heading: "DRIVER", field: "Driver" },
  { heading: "VOLUME NAME", field: "Name" },
];

const command: Command = {
  usage: "volume ls [OPTIONS]",
  summary: "List volumes",
  flags: [
    {
      name: "filter",
      short: "f",
      type: "list",
      value: "key=value",
      help: "Show those that match (dangling, driver, label, name)",
    },
    { name: "format", type: "string", help: "json, or a template" },
    { name: "quiet", short: "q", type: "bool", help: "Show names alone" },
  ],
  examples: ["berth volume ls", "berth volume ls -f dangling=true"],
  args: [0, 0],
  async run({ engine, flags, print, warn }) {
    const query = { filters: filterQuery(flags.list("filter")) };
    const { Volumes, Warnings } = await engine.json<{ Volumes: Volume[] | null; Warnings: string[] | null }>(
      "GET",
      "/volumes",
      { query },
    );
    for (const warning of Warnings ?? []) warn(`WARNING: ${warning}`);
    const rows = (Volumes ?? []).map(({ Driver, Labels, Mountpoint, Name, Scope }) => ({
      Driver,
      Labels: Object.entries(Labels ?? {})
        .map(([key, value]) => `${key}=${value}`)
        .join(","),
      Mountpoint,
      Name,
      Scope,
    }));
    if (flags.bool("quiet")) await print(rows.map(({ Name }) => `${Name}\n`).join(""));
    else await print(renderRows(flags.text("format"), columns, rows));
    return 0;
  },
};

export default command;
