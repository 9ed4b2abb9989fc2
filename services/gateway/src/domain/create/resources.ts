import type { Resources } from "../../rpc/types.ts";
import type { ResourcesBody } from "./body.ts";

/** The limits of a create or update body, typed. What is not given stays zero or absent. */
export function resourcesOf(body: ResourcesBody, isUpdate = false): Resources {
  return {
    cpuShares: body.CpuShares ?? 0,
    nanoCpus: body.NanoCpus ?? 0,
    cpuPeriod: body.CpuPeriod ?? 0,
    cpuQuota: body.CpuQuota ?? 0,
    cpuRealtimePeriod: body.CpuRealtimePeriod ?? 0,
    cpuRealtimeRuntime: body.CpuRealtimeRuntime ?? 0,
    cpusetCpus: body.CpusetCpus ?? "",
    cpusetMems: body.CpusetMems ?? "",
    memory: body.Memory ?? 0,
    memoryReservation: body.MemoryReservation ?? 0,
    memorySwap: isUpdate ? (body.MemorySwap ?? 0) : swapOf(body),
    memorySwappiness: body.MemorySwappiness === -1 ? undefined : body.MemorySwappiness,
    oomKillDisable: body.OomKillDisable,
    pidsLimit: pidsLimit(body.PidsLimit, isUpdate),
    blkioWeight: body.BlkioWeight ?? 0,
    blkioWeightDevice: (body.BlkioWeightDevice ?? []).map(({ Path = "", Weight = 0 }) => ({
      path: Path,
      value: Weight,
    })),
    blkioDeviceReadBps: (body.BlkioDeviceReadBps ?? []).map(throttle),
    blkioDeviceWriteBps: (body.BlkioDeviceWriteBps ?? []).map(throttle),
    blkioDeviceReadIops: (body.BlkioDeviceReadIOps ?? []).map(throttle),
    blkioDeviceWriteIops: (body.BlkioDeviceWriteIOps ?? []).map(throttle),
    devices: (body.Devices ?? []).map(({ PathOnHost = "", PathInContainer = "", CgroupPermissions = "" }) => ({
      pathOnHost: PathOnHost,
      pathInContainer: PathInContainer,
      cgroupPermissions: CgroupPermissions,
    })),
    deviceCgroupRules: body.DeviceCgroupRules ?? [],
    ulimits: (body.Ulimits ?? []).map(({ Name = "", Soft = 0, Hard = 0 }) => ({ name: Name, soft: Soft, hard: Hard })),
    cgroupParent: body.CgroupParent ?? "",
    kernelMemoryTcp: body.KernelMemoryTCP ?? 0,
    cpuCount: body.CpuCount ?? 0,
    cpuPercent: body.CpuPercent ?? 0,
    kernelMemory: body.KernelMemory ?? 0,
    deviceRequests: (body.DeviceRequests ?? []).map((request) => ({
      driver: request.Driver ?? "",
      count: request.Count ?? 0,
      deviceIds: request.DeviceIDs ?? [],
      capabilities: (request.Capabilities ?? []).map((names) => ({ names })),
      options: request.Options ?? {},
    })),
  };
}

/** Without a limit are 0 and negative numbers: none at all of a new container, an explicit 0 of one that is updated. */
function pidsLimit(value: number | undefined, isUpdate: boolean): number | undefined {
  if (value === undefined || value > 0) return value;
  return isUpdate ? 0 : undefined;
}

/** Docker's rule: memory without swap given allows as much swap again. */
function swapOf(body: ResourcesBody): number {
  const memory = body.Memory ?? 0;
  const swap = body.MemorySwap ?? 0;
  return memory > 0 && swap === 0 ? memory * 2 : swap;
}

function throttle({ Path, Rate }: { Path: string | undefined; Rate: number | undefined }): {
  path: string;
  value: number;
} {
  return { path: Path ?? "", value: Rate ?? 0 };
}
