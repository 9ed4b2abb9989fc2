import type { InterfaceStats, StatsResponse } from "../rpc/types.ts";
import { memoryDetails } from "./memory-details.ts";
import { rfc3339, zeroTime } from "./time.ts";

interface Cpu {
  cpu_usage: Record<string, number | number[]>;
  system_cpu_usage?: number;
  online_cpus?: number;
  throttling_data: Record<string, number>;
}

const noCpu: Cpu = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};

function cpuJson(stats: StatsResponse): Cpu {
  return {
    cpu_usage: {
      total_usage: stats.cpuUsage,
      ...(stats.cpuPerCpu.length > 0 ? { percpu_usage: stats.cpuPerCpu } : {}),
      usage_in_kernelmode: stats.cpuSystem,
      usage_in_usermode: stats.cpuUser,
    },
    system_cpu_usage: stats.systemCpuUsage,
    online_cpus: stats.onlineCpus,
    throttling_data: {
      periods: stats.cpuPeriods,
      throttled_periods: stats.cpuThrottledPeriods,
      throttled_time: stats.cpuThrottledTime,
    },
  };
}

/**
 * One answer of GET /containers/{id}/stats.
 * @param previous the reading before it, from which clients take differences
 */
export function statsJson(stats: StatsResponse, previous: StatsResponse | undefined): Record<string, unknown> {
  const isRunning = stats.onlineCpus > 0;
  return {
    name: `/${stats.name}`,
    id: stats.containerId,
    read: isRunning ? rfc3339(stats.read) : zeroTime,
    preread: rfc3339(previous?.read),
    pids_stats: isRunning
      ? { current: stats.pidsCurrent, ...(isLimit(stats.pidsLimit) ? { limit: stats.pidsLimit } : {}) }
      : {},
    blkio_stats: blkioJson(stats, isRunning),
    num_procs: 0,
    storage_stats: {},
    cpu_stats: isRunning ? cpuJson(stats) : noCpu,
    precpu_stats: previous === undefined || previous.onlineCpus === 0 ? noCpu : cpuJson(previous),
    memory_stats: isRunning ? memoryJson(stats) : {},
    ...(stats.interfaces.length === 0
      ? {}
      : { networks: Object.fromEntries(stats.interfaces.map((i) => [i.name, interfaceJson(i)])) }),
  };
}

function isLimit(value: number): boolean {
  return value > 0 && value < Number.MAX_SAFE_INTEGER;
}

function blkioJson(stats: StatsResponse, isRunning: boolean): Record<string, unknown> {
  // Of v2 Docker tells the bytes alone, and null where there are none.
  const none = isRunning && stats.ioVersion === 1 ? [] : null;
  const entries = (list: StatsResponse["ioBytes"]) =>
    list.length === 0 ? none : list.map(({ major, minor, op, value }) => ({ major, minor, op, value }));
  return {
    io_service_bytes_recursive: entries(stats.ioBytes),
    io_serviced_recursive: entries(stats.ioOperations),
    io_queue_recursive: none,
    io_service_time_recursive: none,
    io_wait_time_recursive: none,
    io_merged_recursive: none,
    io_time_recursive: none,
    sectors_recursive: none,
  };
}

function memoryJson(stats: StatsResponse): Record<string, unknown> {
  const { memoryUsage, memoryMaxUsage, memoryFailures, memoryLimit, memoryVersion, hostMemory } = stats;
  return {
    ...(memoryUsage > 0 ? { usage: memoryUsage } : {}),
    ...(memoryMaxUsage > 0 && memoryVersion === 1 ? { max_usage: memoryMaxUsage } : {}),
    stats: memoryDetails(stats.memoryDetails, memoryVersion),
    ...(memoryFailures > 0 ? { failcnt: memoryFailures } : {}),
    limit: memoryLimit > 0 ? Math.min(memoryLimit, hostMemory || Infinity) : hostMemory,
  };
}

function interfaceJson(counters: InterfaceStats): Record<string, number> {
  return {
    rx_bytes: counters.rxBytes,
    rx_packets: counters.rxPackets,
    rx_errors: counters.rxErrors,
    rx_dropped: counters.rxDropped,
    tx_bytes: counters.txBytes,
    tx_packets: counters.txPackets,
    tx_errors: counters.txErrors,
    tx_dropped: counters.txDropped,
  };
}
