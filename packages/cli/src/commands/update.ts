import { any, type Command } from "../command.ts";
import { type Parsed, UsageError } from "../flags.ts";
import { bytes, cpus, restartPolicy } from "./container-body.ts";
import { containerPath, forEach } from "./each.ts";

const command: Command = {
  usage: "update [OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Change limits and restart policy of containers",
  flags: [
    { name: "blkio-weight", type: "int", help: "Block I/O weight, 10 to 1000, 0: none" },
    { name: "cpu-period", type: "int", help: "CFS period, microseconds" },
    { name: "cpu-quota", type: "int", help: "CFS quota, microseconds" },
    { name: "cpu-rt-period", type: "int", help: "Real-time period, microseconds" },
    { name: "cpu-rt-runtime", type: "int", help: "Real-time runtime, microseconds" },
    { name: "cpu-shares", short: "c", type: "int", help: "CPU weight" },
    { name: "cpus", type: "string", value: "number", help: "CPUs to use at most (1.5)" },
    { name: "cpuset-cpus", type: "string", help: "CPUs to run on (0-1, 3)" },
    { name: "cpuset-mems", type: "string", help: "Memory nodes to use" },
    { name: "memory", short: "m", type: "string", value: "size", help: "Memory limit (64m, 1g)" },
    { name: "memory-reservation", type: "string", value: "size", help: "Soft memory limit" },
    { name: "memory-swap", type: "string", value: "size", help: "Memory and swap together, -1: no limit" },
    { name: "pids-limit", type: "int", help: "Processes at most, -1: no limit" },
    { name: "restart", type: "string", value: "policy", help: "no, on-failure[:n], always or unless-stopped" },
  ],
  examples: ["berth update --memory 128m --memory-swap 256m web", "berth update --restart unless-stopped web db"],
  args: [1, any],
  run: (context) => {
    const body = updateBody(context.flags);
    return forEach(context, async (name) => {
      const { Warnings } = await context.engine.json<{ Warnings: string[] | null }>(
        "POST",
        containerPath(name, "/update"),
        { body },
      );
      for (const warning of Warnings ?? []) context.warn(warning);
      return name;
    });
  },
};

/** Only what was given: the engine takes zeros for "as it was". @throws UsageError */
function updateBody(flags: Parsed): Record<string, unknown> {
  const body: Record<string, unknown> = {
    BlkioWeight: flags.int("blkio-weight"),
    CpuPeriod: flags.int("cpu-period"),
    CpuQuota: flags.int("cpu-quota"),
    CpuRealtimePeriod: flags.int("cpu-rt-period"),
    CpuRealtimeRuntime: flags.int("cpu-rt-runtime"),
    CpuShares: flags.int("cpu-shares"),
    NanoCpus: flags.has("cpus") ? cpus(flags.text("cpus")) : undefined,
    CpusetCpus: flags.text("cpuset-cpus"),
    CpusetMems: flags.text("cpuset-mems"),
    Memory: flags.has("memory") ? bytes(flags, "memory") : undefined,
    MemoryReservation: flags.has("memory-reservation") ? bytes(flags, "memory-reservation") : undefined,
    MemorySwap: flags.has("memory-swap") ? bytes(flags, "memory-swap") : undefined,
    PidsLimit: flags.int("pids-limit"),
    RestartPolicy: flags.has("restart") ? restartPolicy(flags.text("restart")) : undefined,
  };
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
  if (Object.keys(given).length === 0)
    throw new UsageError("you must provide one or more flags when using this command");
  return given;
}

export default command;
