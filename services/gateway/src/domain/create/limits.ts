import { BerthError } from "@berth/errors";
import type { ResourcesBody } from "./body.ts";

/** bytes; below this a container's first process could not even start. */
const minMemory = 6 * 1024 * 1024;

/**
 * Checks the limits that need no knowledge of the node (how many CPUs it has, what its kernel can do: the supervisor
 * checks that). The texts are Docker's.
 * @throws INVALID_ARGUMENT
 */
export function checkResources(limits: ResourcesBody, isUpdate = false): void {
  checkMemory(limits, isUpdate);
  checkCpu(limits);
}

function checkMemory(limits: ResourcesBody, isUpdate: boolean): void {
  const memory = limits.Memory ?? 0;
  const swap = limits.MemorySwap ?? 0;
  const reservation = limits.MemoryReservation ?? 0;
  const swappiness = limits.MemorySwappiness;
  require(memory === 0 || memory >= minMemory, "Minimum memory limit allowed is 6MB");
  require(memory === 0 ||
    swap <= 0 ||
    swap >= memory, "Minimum memoryswap limit should be larger than memory limit, see usage");
  require(isUpdate ||
    memory !== 0 ||
    swap <= 0, "You should always set the Memory limit when using Memoryswap limit, see usage");
  require(swappiness === undefined ||
    (swappiness >= -1 && swappiness <= 100), `Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  require(reservation === 0 || reservation >= minMemory, "Minimum memory reservation allowed is 6MB");
  require(memory === 0 ||
    reservation === 0 ||
    memory >= reservation, "Minimum memory limit can not be less than memory reservation limit, see usage");
}

/** What Docker refuses while it reads the body, before everything else. @throws INVALID_ARGUMENT */
export function checkPlatformLimits(limits: ResourcesBody): void {
  const qos = (what: string) => `invalid option: QoS maximum ${what} configuration is not supported on linux`;
  require(!limits.IOMaximumBandwidth, qos("bandwidth"));
  require(!limits.IOMaximumIOps, qos("IOPs"));
  const period = limits.CpuRealtimePeriod ?? 0;
  const runtime = limits.CpuRealtimeRuntime ?? 0;
  require(period === 0 ||
    runtime === 0 ||
    runtime <= period, "cpu real-time runtime cannot be higher than cpu real-time period");
  const shares = limits.CpuShares ?? 0;
  require(shares >= 0, `invalid CPU shares (${shares}): value must be a positive integer`);
}

function checkCpu(limits: ResourcesBody): void {
  const nano = limits.NanoCpus ?? 0;
  const period = limits.CpuPeriod ?? 0;
  const quota = limits.CpuQuota ?? 0;
  require(nano === 0 || period === 0, "Conflicting options: Nano CPUs and CPU Period cannot both be set");
  require(nano === 0 || quota === 0, "Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  require(period === 0 ||
    (period >= 1000 &&
      period <= 1_000_000), "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  require(quota <= 0 || quota >= 1000, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
}

const restartPolicies = ["", "no", "always", "on-failure", "unless-stopped"];

/** @throws INVALID_ARGUMENT */
export function checkRestartPolicy(policy: { Name: string | undefined; MaximumRetryCount: number | undefined }): void {
  const name = policy.Name ?? "";
  const count = policy.MaximumRetryCount ?? 0;
  require(restartPolicies.includes(
    name,
  ), `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`);
  require(count === 0 ||
    name === "on-failure" ||
    name ===
      "", `invalid restart policy: maximum retry count can only be used with 'on-failure'${count < 0 ? " and cannot be negative" : ""}`);
  require(count >= 0, "invalid restart policy: maximum retry count cannot be negative");
}

export function require(condition: boolean, message: string): void {
  if (!condition) throw new BerthError("INVALID_ARGUMENT", message);
}
