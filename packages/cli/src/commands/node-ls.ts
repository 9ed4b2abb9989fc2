import type { Command } from "../command.ts";
import { memory } from "../output/human.ts";
import { type Column, renderRows } from "../output/table.ts";

export interface Node {
  ID: string;
  Name: string;
  State: string;
  Availability: string;
  Labels: Record<string, string>;
  CPUs: number;
  Memory: number;
  Reserved: { Containers: number; CPUs: number; Memory: number };
  Version: string;
  AwaySince?: string;
  NATS?: string;
}

const columns: Column[] = [
  { heading: "ID", field: "ID" },
  { heading: "NAME", field: "Name" },
  { heading: "STATE", field: "State" },
  { heading: "AVAILABILITY", field: "Availability" },
  { heading: "CONTAINERS", field: "Containers" },
  { heading: "CPUS", field: "CPUs" },
  { heading: "MEMORY", field: "Memory" },
  { heading: "NATS", field: "NATS" },
  { heading: "LABELS", field: "Labels" },
];

const command: Command = {
  usage: "node ls [OPTIONS]",
  summary: "List the nodes that run containers",
  flags: [
    { name: "format", type: "string", help: "json, or a template" },
    { name: "quiet", short: "q", type: "bool", help: "Show ids alone" },
  ],
  examples: ["berth node ls", "berth node ls --format '{{.Name}} {{.State}}'"],
  args: [0, 0],
  async run({ engine, flags, print }) {
    const nodes = await engine.json<Node[]>("GET", "/berth/nodes");
    if (flags.bool("quiet")) await print(nodes.map(({ ID }) => `${ID}\n`).join(""));
    else await print(renderRows(flags.text("format"), columns, nodes.map(row)));
    return 0;
  },
};

function row({ ID, Name, State, Availability, Labels, CPUs, Memory, Reserved, Version, AwaySince, NATS = "" }: Node) {
  return {
    ID: ID.slice(0, 12),
    Name,
    State: AwaySince === undefined ? State : `${State} since ${AwaySince.slice(0, 19)}Z`,
    Availability,
    Containers: String(Reserved.Containers),
    CPUs: `${trimmed(Reserved.CPUs)} / ${CPUs}`,
    Memory: `${memory(Reserved.Memory)} / ${memory(Memory)}`,
    NATS,
    Labels: Object.entries(Labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(","),
    Version,
  };
}

const trimmed = (value: number): string => String(Number(value.toFixed(2)));

export default command;
