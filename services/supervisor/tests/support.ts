// A plain spec and a plain host to vary.
import type { HostFacts } from "../src/domain/host.ts";
import { capabilityNames } from "../src/domain/host.ts";
import type { ContainerConfig, ContainerRecord, ContainerSpec, HostConfig, Resources } from "../src/domain/model.ts";
import { newState } from "../src/domain/containers/state.ts";

export const facts: HostFacts = {
  cpus: 2,
  memory: 8 << 30,
  cpuset: "0-1",
  memset: "0",
  kernelVersion: "6.18.4",
  operatingSystem: "Debian",
  osVersion: "12",
  architecture: "x86_64",
  capabilities: capabilityNames.filter((name) => name !== "CAP_SYS_RESOURCE"),
  cgroup: { version: 1, pids: true, memory: true, swap: true, cpu: true, cpuset: true, blkioWeight: false, blkioWeightDevice: false },
  apparmor: false,
  selinux: false,
  bootId: "boot",
};

export function makeResources(change: Partial<Resources> = {}): Resources {
  return {
    cpuShares: 0, nanoCpus: 0, cpuPeriod: 0, cpuQuota: 0, cpuRealtimePeriod: 0, cpuRealtimeRuntime: 0, cpusetCpus: "", cpusetMems: "",
    memory: 0, memoryReservation: 0, memorySwap: 0, blkioWeight: 0, blkioWeightDevice: [], blkioDeviceReadBps: [], blkioDeviceWriteBps: [],
    blkioDeviceReadIops: [], blkioDeviceWriteIops: [], devices: [], deviceCgroupRules: [], ulimits: [], cgroupParent: "", kernelMemoryTcp: 0,
    cpuCount: 0, cpuPercent: 0,
    ...change,
  };
}

export function makeSpec(
  host: Partial<Omit<HostConfig, "resources">> & { resources?: Partial<Resources> } = {},
  config: Partial<ContainerConfig> = {},
  spec: Partial<ContainerSpec> = {},
): ContainerSpec {
  return {
    config: {
      hostname: "", domainname: "", user: "", attachStdin: false, attachStdout: false, attachStderr: false, exposedPorts: [], tty: false,
      openStdin: false, stdinOnce: false, env: [], cmd: ["true"], entrypoint: [], image: "busybox", volumes: [], workingDir: "",
      networkDisabled: false, labels: {}, stopSignal: "", shell: [], healthcheck: undefined, argsEscaped: false, onBuild: [], macAddress: "",
      ...config,
    },
    hostConfig: {
      binds: [], mounts: [], containerIdFile: "", logConfig: { type: "", config: {} }, networkMode: "", portBindings: [],
      restartPolicy: { name: "", maximumRetryCount: 0 }, autoRemove: false, volumeDriver: "", volumesFrom: [], consoleSize: [],
      annotations: {}, capAdd: [], capDrop: [], cgroupnsMode: "", dns: [], dnsOptions: [], dnsSearch: [], extraHosts: [], groupAdd: [],
      ipcMode: "", cgroup: "", links: [], oomScoreAdj: 0, pidMode: "", privileged: false, publishAllPorts: false, readonlyRootfs: false,
      securityOpt: [], storageOpt: {}, tmpfs: {}, utsMode: "", usernsMode: "", shmSize: 0, sysctls: {}, runtime: "", isolation: "",
      maskedPaths: undefined, readonlyPaths: undefined,
      ...host,
      resources: makeResources(host.resources),
    },
    endpoints: [],
    imageId: "sha256:00",
    imageManifest: undefined,
    layers: [],
    platform: undefined,
    ...spec,
  };
}

export function makeRecord(spec: ContainerSpec, id = "a".repeat(64)): ContainerRecord {
  return {
    v: 1, id, name: "name", spec, created: "2026-01-01T00:00:00.000000000Z", path: spec.config.cmd[0] ?? "", args: [], state: newState(),
    restartCount: 0, hasBeenManuallyStopped: false, hasBeenStartedBefore: false, starting: false, rootfs: [], layerDirs: [], mounts: [],
    endpoints: [], ports: [], idempotencyKey: "", removing: false,
  };
}
