import type { DeepPartial, InterfaceStats, Network, StatsResponse, SupervisorDefinition } from "@berth/api/containers";
import type { Implementation } from "@berth/rpc";
import type { Container } from "../domain/containers/container.ts";
import { isRunning } from "../domain/containers/state.ts";
import type { Engine } from "../domain/engine.ts";
import { nodeInfo } from "../domain/node.ts";
import { type Sample, sample, sampleStats } from "../domain/stats/stats.ts";
import { top } from "../domain/stats/top.ts";
import { timestamp } from "./encode.ts";

/** Processes, counters, networks, the node itself. */
export function nodeCalls(engine: Engine): Implementation<typeof SupervisorDefinition> {
  const { parts } = engine;
  return {
    async top({ container, psArgs }) {
      const { titles, rows } = await top(parts, engine.find(container), psArgs);
      return { titles, processes: rows.map((columns) => ({ columns })) };
    },
    async readStats({ container }) {
      const found = engine.find(container);
      return encodeSample(found, await sample(parts, found), parts.facts.memory);
    },
    async *stats({ container, follow }, { signal }) {
      const found = engine.find(container);
      for await (const reading of sampleStats(parts, found, follow, signal))
        yield encodeSample(found, reading, parts.facts.memory);
    },
    async listNetworks() {
      // Its subnet is chosen when the bridge is made; who lists networks wants to see it.
      await parts.networks.bridge.ensure();
      return { networks: networks(engine) };
    },
    async nodeInfo() {
      return nodeInfo(parts);
    },
  };
}

function encodeSample(
  { record }: Container,
  { read, counters, systemCpu, onlineCpus, interfaces }: Sample,
  hostMemory: number,
): DeepPartial<StatsResponse> {
  const names = { containerId: record.id, name: record.name };
  if (counters === undefined) return names;
  return {
    ...names,
    read: { seconds: Number(read / 1_000_000_000n), nanos: Number(read % 1_000_000_000n) },
    cpuUsage: counters.cpu_usage_ns,
    cpuUser: counters.cpu_user_ns,
    cpuSystem: counters.cpu_system_ns,
    cpuPeriods: counters.cpu_periods,
    cpuThrottledPeriods: counters.cpu_throttled_periods,
    cpuThrottledTime: counters.cpu_throttled_ns,
    systemCpuUsage: systemCpu,
    onlineCpus,
    memoryUsage: counters.memory_usage,
    memoryLimit: safe(counters.memory_limit),
    memoryMaxUsage: counters.memory_max_usage,
    memoryInactiveFile: counters.memory_inactive_file,
    memoryCache: counters.memory_cache,
    pidsCurrent: counters.pids_current,
    pidsLimit: safe(counters.pids_limit),
    ioReadBytes: counters.io_read_bytes,
    ioWriteBytes: counters.io_write_bytes,
    hostMemory,
    memoryDetails: counters.memory_details ?? {},
    memoryFailures: counters.memory_failures ?? 0,
    memoryVersion: counters.memory_version ?? 0,
    ioVersion: counters.io_version ?? 0,
    cpuPerCpu: counters.cpu_per_cpu_ns ?? [],
    ioBytes: counters.io_bytes ?? [],
    ioOperations: counters.io_operations ?? [],
    interfaces: interfaces.map((one): DeepPartial<InterfaceStats> => ({ ...one })),
  };
}

/** "Unlimited" is close to 2^63 or 2^64, which no JavaScript number holds: 0 says the same. */
const safe = (value: number): number => (value > Number.MAX_SAFE_INTEGER ? 0 : value);

function networks({ parts }: Engine): DeepPartial<Network>[] {
  const { bridge, ids } = parts.networks;
  const members = (name: string) =>
    parts.registry
      .all()
      .filter(({ record }) => isRunning(record))
      .flatMap(({ record }) =>
        record.endpoints
          .filter(({ network }) => network === name)
          .map((endpoint) => ({
            containerId: record.id,
            name: record.name,
            endpointId: endpoint.endpointId,
            macAddress: endpoint.macAddress,
            ipv4Address: endpoint.ipAddress === "" ? "" : `${endpoint.ipAddress}/${endpoint.ipPrefixLen}`,
          })),
      );
  const options = {
    "com.docker.network.bridge.default_bridge": "true",
    "com.docker.network.bridge.enable_icc": "true",
    "com.docker.network.bridge.enable_ip_masquerade": "true",
    "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
    "com.docker.network.bridge.name": bridge.name,
    "com.docker.network.driver.mtu": String(bridge.mtu),
  };
  const common = { scope: "local", created: timestamp(ids.created) };
  return [
    {
      ...common,
      id: bridge.id,
      name: "bridge",
      driver: "bridge",
      subnet: bridge.subnet,
      gateway: bridge.gateway,
      options,
      containers: members("bridge"),
    },
    { ...common, id: ids.host, name: "host", driver: "host", containers: members("host") },
    { ...common, id: ids.none, name: "none", driver: "null", containers: members("none") },
  ];
}
