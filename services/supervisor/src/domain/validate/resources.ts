import { invalid } from "../errors.ts";
import type { HostFacts } from "../host.ts";
import type { Resources } from "../model.ts";

const minimumMemory = 6 * 1024 * 1024;

/**
 * Checks resources against each other and against the host. Returns warnings; takes out of `resources` what the host's kernel
 * can't do, as Docker does. Throws INVALID_ARGUMENT with Docker's texts. `update`: fields left at zero are no mistake.
 */
export function checkResources(resources: Resources, host: HostFacts, update = false): string[] {
  const warnings: string[] = [];
  checkMemory(resources, host, update, warnings);
  checkCpu(resources, host);
  if (resources.cpuPercent > 0) {
    warnings.push("linux does not support CPU percent. Percent discarded.");
    resources.cpuPercent = 0;
  }
  checkCpusets(resources, host);
  checkOom(resources, host, warnings, update);
  checkBlkio(resources, host, warnings);
  if (resources.cpuShares < 0)
    throw invalid(`invalid CPU shares (${resources.cpuShares}): value must be a positive integer`);
  // Of an update Docker leaves real-time limits out without a word.
  if (!update) checkRealtime(resources, host);
  checkKernelMemory(resources, host, warnings);
  if (resources.pidsLimit !== undefined && !host.cgroup.pids && resources.pidsLimit > 0) {
    warnings.push(
      "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
    );
    resources.pidsLimit = undefined;
  }
  return warnings;
}

function checkRealtime(r: Resources, host: HostFacts): void {
  if ((r.cpuRealtimePeriod !== 0 || r.cpuRealtimeRuntime !== 0) && !host.cgroup.cpuRealtime)
    throw invalid("kernel does not support CPU real-time scheduler");
  if (r.cpuRealtimePeriod !== 0 && r.cpuRealtimeRuntime > r.cpuRealtimePeriod)
    throw invalid("cpu real-time runtime cannot be higher than cpu real-time period");
}

function checkKernelMemory(r: Resources, host: HostFacts, warnings: string[]): void {
  if (r.kernelMemory <= 0) return;
  if (!host.cgroup.kernelMemory) {
    warnings.push(
      "Your kernel does not support kernel memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
    );
    r.kernelMemory = 0;
  } else if (r.kernelMemory < minimumMemory) throw invalid("Minimum kernel memory limit allowed is 6MB");
}

function checkMemory(r: Resources, host: HostFacts, update: boolean, warnings: string[]): void {
  if (r.memorySwappiness !== undefined && r.memorySwappiness !== -1 && !host.cgroup.swappiness) {
    warnings.push(
      "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
    );
    r.memorySwappiness = undefined;
  }
  if (r.memory !== 0 && r.memory < minimumMemory) throw invalid("Minimum memory limit allowed is 6MB");
  if (r.memorySwappiness === -1) r.memorySwappiness = undefined;
  if (r.memory > 0 && r.memorySwap !== -1 && !host.cgroup.swap) {
    warnings.push(
      "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
    );
    r.memorySwap = -1;
  }
  if (r.memory > 0 && r.memorySwap > 0 && r.memorySwap < r.memory) {
    throw invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
  }
  if (r.memory === 0 && r.memorySwap > 0 && !update) {
    throw invalid("You should always set the Memory limit when using Memoryswap limit, see usage");
  }
  const swappiness = r.memorySwappiness;
  if (swappiness !== undefined && (swappiness < 0 || swappiness > 100)) {
    throw invalid(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  }
  if (r.memoryReservation !== 0 && r.memoryReservation < minimumMemory)
    throw invalid("Minimum memory reservation allowed is 6MB");
  if (r.memory > 0 && r.memoryReservation > 0 && r.memory < r.memoryReservation) {
    throw invalid("Minimum memory limit can not be less than memory reservation limit, see usage");
  }
}

function checkCpu(r: Resources, host: HostFacts): void {
  if (r.nanoCpus > 0 && r.cpuPeriod > 0)
    throw invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set");
  if (r.nanoCpus > 0 && r.cpuQuota > 0)
    throw invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  if (r.nanoCpus < 0 || r.nanoCpus > host.cpus * 1e9) {
    throw invalid(`range of CPUs is from 0.01 to ${host.cpus}.00, as there are only ${host.cpus} CPUs available`);
  }
  if (r.cpuPeriod !== 0 && (r.cpuPeriod < 1000 || r.cpuPeriod > 1_000_000)) {
    throw invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  }
  if (r.cpuQuota > 0 && r.cpuQuota < 1000) throw invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
}

function checkCpusets(r: Resources, host: HostFacts): void {
  if (r.cpusetCpus !== "") checkSet(r.cpusetCpus, host.cpuset, "cpuset cpus", "CPUs");
  if (r.cpusetMems !== "") checkSet(r.cpusetMems, host.memset, "cpuset mems", "memory nodes");
}

function checkSet(text: string, available: string, what: string, things: string): void {
  const wanted = parseCpuList(text);
  if (wanted === undefined) throw invalid(`Invalid value ${text} for ${what}: invalid format: ${text}`);
  const there = new Set(parseCpuList(available) ?? []);
  if (wanted.every((n) => there.has(n))) return;
  throw invalid(`Requested ${things} are not available - requested ${text}, available: ${available}`);
}

/** "0-3,7" to numbers; undefined when it is not such a list. */
function parseCpuList(text: string): number[] | undefined {
  const found: number[] = [];
  for (const part of text.split(",")) {
    const match = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part.trim());
    if (!match) return undefined;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first || last > 8191) return undefined;
    for (let n = first; n <= last; n++) found.push(n);
  }
  return found;
}

function checkOom(r: Resources, host: HostFacts, warnings: string[], update: boolean): void {
  if (!r.oomKillDisable || update) return;
  if (host.cgroup.version === 2) {
    warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
    r.oomKillDisable = false;
  } else if (r.memory === 0) {
    warnings.push(
      "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
    );
  }
}

function checkBlkio(r: Resources, host: HostFacts, warnings: string[]): void {
  if (r.blkioWeight !== 0 && !host.cgroup.blkioWeight) {
    warnings.push("Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.");
    r.blkioWeight = 0;
  }
  if (r.blkioWeight !== 0 && (r.blkioWeight < 10 || r.blkioWeight > 1000)) {
    throw invalid("Range of blkio weight is from 10 to 1000");
  }
  if (r.blkioWeightDevice.length > 0 && !host.cgroup.blkioWeightDevice) {
    warnings.push(
      "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
    );
    r.blkioWeightDevice = [];
  }
}
