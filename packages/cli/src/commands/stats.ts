import { any, type Command } from "../command.ts";
import type { Engine } from "../engine/client.ts";
import { memory, shortId, size } from "../output/human.ts";
import { type Column, type Row, renderRows } from "../output/table.ts";
import { containerPath } from "./each.ts";
import type { Summary } from "./ps.ts";

interface Cpu {
  cpu_usage: { total_usage: number };
  system_cpu_usage?: number;
  online_cpus?: number;
}

interface Stats {
  name: string;
  id: string;
  cpu_stats: Cpu;
  precpu_stats: Cpu;
  memory_stats: { usage?: number; limit?: number; stats?: Record<string, number> };
  networks?: Record<string, { rx_bytes: number; tx_bytes: number }>;
  blkio_stats: { io_service_bytes_recursive: { op: string; value: number }[] | null };
  pids_stats: { current?: number };
}

const columns: Column[] = [
  { heading: "CONTAINER ID", field: "ID" },
  { heading: "NAME", field: "Name" },
  { heading: "CPU %", field: "CPUPerc" },
  { heading: "MEM USAGE / LIMIT", field: "MemUsage" },
  { heading: "MEM %", field: "MemPerc" },
  { heading: "NET I/O", field: "NetIO" },
  { heading: "BLOCK I/O", field: "BlockIO" },
  { heading: "PIDS", field: "PIDs" },
];

const command: Command = {
  usage: "stats [OPTIONS] [CONTAINER...]",
  summary: "Show what containers use",
  flags: [
    { name: "all", short: "a", type: "bool", help: "Stopped ones too" },
    { name: "format", type: "string", help: "json, or a template" },
    { name: "no-trunc", type: "bool", help: "Show whole ids" },
    { name: "no-stream", type: "bool", help: "Show it once" },
  ],
  examples: ["berth stats", "berth stats --no-stream web"],
  args: [0, any],
  async run({ engine, flags, args, print }) {
    const whole = flags.bool("no-trunc");
    for (;;) {
      const names = args.length > 0 ? args : await listed(engine, flags.bool("all"));
      // Each answer takes the second that it measures, so this is one round a second.
      const rows = await Promise.all(
        names.map(async (name) =>
          rowOf(await engine.json<Stats>("GET", containerPath(name, "/stats"), { query: { stream: "false" } }), whole),
        ),
      );
      const text = renderRows(flags.text("format"), columns, rows);
      if (flags.bool("no-stream")) {
        await print(text);
        return 0;
      }
      await print(process.stdout.isTTY ? `\u001b[2J\u001b[H${text}` : text);
      if (rows.length === 0) await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  },
};

async function listed(engine: Engine, all: boolean): Promise<string[]> {
  return (await engine.json<Summary[]>("GET", "/containers/json", { query: { all } })).map(({ Id }) => Id);
}

function rowOf(stats: Stats, whole: boolean): Row {
  const used = memoryUsed(stats);
  const limit = stats.memory_stats.limit ?? 0;
  const networks = Object.values(stats.networks ?? {});
  const io = stats.blkio_stats.io_service_bytes_recursive ?? [];
  const sum = (numbers: number[]) => numbers.reduce((total, value) => total + value, 0);
  const blocks = (op: string) =>
    size(sum(io.filter((entry) => entry.op.toLowerCase() === op).map(({ value }) => value)));
  return {
    ID: whole ? stats.id : shortId(stats.id),
    Name: stats.name.replace(/^\//, ""),
    CPUPerc: `${cpuPercent(stats).toFixed(2)}%`,
    MemUsage: `${memory(used)} / ${memory(limit)}`,
    MemPerc: `${(limit > 0 ? (used / limit) * 100 : 0).toFixed(2)}%`,
    NetIO: `${size(sum(networks.map((n) => n.rx_bytes)))} / ${size(sum(networks.map((n) => n.tx_bytes)))}`,
    BlockIO: `${blocks("read")} / ${blocks("write")}`,
    PIDs: stats.pids_stats.current ?? 0,
  };
}

/** Without what the kernel would give back at once. */
function memoryUsed({ memory_stats: { usage = 0, stats = {} } }: Stats): number {
  const inactive = stats["total_inactive_file"] ?? stats["inactive_file"] ?? 0;
  return inactive < usage ? usage - inactive : usage;
}

function cpuPercent({ cpu_stats: now, precpu_stats: before }: Stats): number {
  const used = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const passed = (now.system_cpu_usage ?? 0) - (before.system_cpu_usage ?? 0);
  return used > 0 && passed > 0 ? (used / passed) * (now.online_cpus ?? 1) * 100 : 0;
}

export default command;
