import type { Command } from "../command.ts";
import { ago, ellipsis, shortId, size } from "../output/human.ts";
import { type Column, type Row, renderRows } from "../output/table.ts";
import { filterQuery } from "./filters.ts";

export interface Port {
  IP?: string;
  PrivatePort: number;
  PublicPort?: number;
  Type: string;
}

export interface Summary {
  Id: string;
  Names: string[];
  Image: string;
  Command: string;
  Created: number;
  Ports: Port[];
  SizeRw?: number;
  SizeRootFs?: number;
  Labels: Record<string, string>;
  State: string;
  Status: string;
  Mounts: { Name?: string; Source: string }[];
  NetworkSettings: { Networks: Record<string, unknown> };
}

const columns: Column[] = [
  { heading: "CONTAINER ID", field: "ID" },
  { heading: "IMAGE", field: "Image" },
  { heading: "COMMAND", field: "Command" },
  { heading: "CREATED", field: "CreatedSince" },
  { heading: "STATUS", field: "Status" },
  { heading: "PORTS", field: "Ports" },
  { heading: "NAMES", field: "Names" },
];
const sizeColumn: Column = { heading: "SIZE", field: "Size" };

const command: Command = {
  usage: "ps [OPTIONS]",
  summary: "List containers",
  flags: [
    { name: "all", short: "a", type: "bool", help: "Show stopped ones too" },
    {
      name: "filter",
      short: "f",
      type: "list",
      value: "key=value",
      help: "Show those that match (status, name, label, ancestor, …)",
    },
    { name: "format", type: "string", help: 'json, or a template: "{{.Names}}", "table {{.ID}}\\t{{.Status}}"' },
    { name: "last", short: "n", type: "int", value: "count", help: "Show the last n, in any state" },
    { name: "latest", short: "l", type: "bool", help: "Show the last one, in any state" },
    { name: "no-trunc", type: "bool", help: "Show whole ids and commands" },
    { name: "quiet", short: "q", type: "bool", help: "Show ids alone" },
    { name: "size", short: "s", type: "bool", help: "Show sizes" },
  ],
  examples: ["berth ps", "berth ps -a --filter status=exited", "berth ps --format '{{.Names}}: {{.Status}}'"],
  args: [0, 0],
  async run({ engine, flags, print }) {
    const query = {
      all: flags.bool("all"),
      limit: flags.bool("latest") ? 1 : flags.int("last"),
      size: flags.bool("size"),
      filters: filterQuery(flags.list("filter")),
    };
    const found = await engine.json<Summary[]>("GET", "/containers/json", { query });
    const rows = found.map((container) => rowOf(container, flags.bool("no-trunc")));
    if (flags.bool("quiet")) await print(rows.map(({ ID }) => `${String(ID)}\n`).join(""));
    else await print(renderRows(flags.text("format"), flags.bool("size") ? [...columns, sizeColumn] : columns, rows));
    return 0;
  },
};

function rowOf(container: Summary, whole: boolean): Row {
  const commandText = whole ? container.Command : ellipsis(container.Command, 20);
  const sizeText = `${size(container.SizeRw ?? 0)} (virtual ${size(container.SizeRootFs ?? 0)})`;
  return {
    ID: whole ? container.Id : shortId(container.Id),
    Image: container.Image.startsWith("sha256:") && !whole ? shortId(container.Image) : container.Image,
    Command: `"${commandText}"`,
    CreatedAt: new Date(container.Created * 1000).toISOString(),
    CreatedSince: ago(container.Created),
    RunningFor: ago(container.Created),
    Status: container.Status,
    State: container.State,
    Ports: portsText(container.Ports),
    Names: container.Names.map((name) => name.replace(/^\//, "")).join(","),
    Labels: Object.entries(container.Labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(","),
    Mounts: container.Mounts.map(({ Name, Source }) => Name ?? Source).join(","),
    Networks: Object.keys(container.NetworkSettings.Networks).join(","),
    Size: container.SizeRw === undefined && container.SizeRootFs === undefined ? "0B" : sizeText,
  };
}

/** "0.0.0.0:8080->80/tcp, 443/tcp" */
function portsText(ports: readonly Port[]): string {
  const texts = ports.map(({ IP = "", PrivatePort, PublicPort, Type }) => {
    if (PublicPort === undefined) return `${PrivatePort}/${Type}`;
    return `${IP.includes(":") ? `[${IP}]` : IP}:${PublicPort}->${PrivatePort}/${Type}`;
  });
  return [...new Set(texts)].join(", ");
}

export default command;
