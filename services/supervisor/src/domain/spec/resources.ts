import type { BlkioDevice, Resources } from "../model.ts";
import { blockDeviceNumbers } from "./devices.ts";
import type { OciDeviceRule, OciResources, OciThrottle } from "./oci.ts";

/** Docker's limits as OCI's linux.resources. Nothing is set that was not asked for. */
export async function resourcesOf(r: Resources, devices: OciDeviceRule[] | undefined): Promise<OciResources> {
  const memory = {
    ...(r.memory !== 0 && { limit: r.memory }),
    ...(r.memoryReservation !== 0 && { reservation: r.memoryReservation }),
    ...(r.memorySwap !== 0 && { swap: r.memorySwap }),
    ...(r.memorySwappiness !== undefined && r.memorySwappiness >= 0 && { swappiness: r.memorySwappiness }),
    ...(r.kernelMemory > 0 && { kernel: r.kernelMemory }),
    ...(r.kernelMemoryTcp > 0 && { kernelTCP: r.kernelMemoryTcp }),
    ...(r.oomKillDisable === true && { disableOOMKiller: true }),
  };
  const cpu = cpuOf(r);
  const blockIO = await blockIoOf(r);
  return {
    ...(devices !== undefined && { devices }),
    ...(Object.keys(memory).length > 0 && { memory }),
    ...(Object.keys(cpu).length > 0 && { cpu }),
    ...(r.pidsLimit !== undefined && { pids: { limit: r.pidsLimit > 0 ? r.pidsLimit : -1 } }),
    ...(Object.keys(blockIO).length > 0 && { blockIO }),
  };
}

/** --cpus is a quota over the kernel's usual period of 100 ms. */
const cpuPeriod = 100_000;

function cpuOf(r: Resources): NonNullable<OciResources["cpu"]> {
  return {
    ...(r.cpuShares !== 0 && { shares: r.cpuShares }),
    ...(r.nanoCpus > 0
      ? { period: cpuPeriod, quota: Math.trunc((r.nanoCpus * cpuPeriod) / 1e9) }
      : { ...(r.cpuPeriod !== 0 && { period: r.cpuPeriod }), ...(r.cpuQuota !== 0 && { quota: r.cpuQuota }) }),
    ...(r.cpuRealtimePeriod !== 0 && { realtimePeriod: r.cpuRealtimePeriod }),
    ...(r.cpuRealtimeRuntime !== 0 && { realtimeRuntime: r.cpuRealtimeRuntime }),
    ...(r.cpusetCpus !== "" && { cpus: r.cpusetCpus }),
    ...(r.cpusetMems !== "" && { mems: r.cpusetMems }),
  };
}

async function blockIoOf(r: Resources): Promise<NonNullable<OciResources["blockIO"]>> {
  const throttle = (list: readonly BlkioDevice[]): Promise<OciThrottle[]> =>
    Promise.all(list.map(async ({ path, value }) => ({ ...(await blockDeviceNumbers(path)), rate: value })));
  const weightDevice = await Promise.all(
    r.blkioWeightDevice.map(async ({ path, value }) => ({ ...(await blockDeviceNumbers(path)), weight: value })),
  );
  const [readBps, writeBps, readIops, writeIops] = await Promise.all([
    throttle(r.blkioDeviceReadBps),
    throttle(r.blkioDeviceWriteBps),
    throttle(r.blkioDeviceReadIops),
    throttle(r.blkioDeviceWriteIops),
  ]);
  return {
    ...(r.blkioWeight !== 0 && { weight: r.blkioWeight }),
    ...(weightDevice.length > 0 && { weightDevice }),
    ...(readBps.length > 0 && { throttleReadBpsDevice: readBps }),
    ...(writeBps.length > 0 && { throttleWriteBpsDevice: writeBps }),
    ...(readIops.length > 0 && { throttleReadIOPSDevice: readIops }),
    ...(writeIops.length > 0 && { throttleWriteIOPSDevice: writeIops }),
  };
}
