import type { ContainerFacts, EventRecord } from "@berth/bus";
import type { Logger } from "@berth/log";
import type { CommitTarget } from "../files/commit.ts";
import type { HostFacts } from "../host.ts";
import type { ContainerRecord, ExecRecord, ImportRecord, Layer, RootfsMount, VolumeRecord } from "../model.ts";
import type { MonitorLauncher } from "../monitor/launcher.ts";
import type { Networks } from "../network/networks.ts";
import type { Runtimes } from "../runtimes.ts";
import type { Volumes } from "../volumes/volumes.ts";
import type { Registry } from "./registry.ts";

/** The node's snapshotter, as far as containers need it. */
export interface Snapshots {
  /** A writable layer named `key` on these layers, unpacking what is missing. Repeating it gives the same. */
  prepare(
    key: string,
    layers: readonly Layer[],
    options?: { storageOptions?: Readonly<Record<string, string>>; signal?: AbortSignal | undefined },
  ): Promise<{ rootfs: RootfsMount[]; layerDirs: string[] }>;
  /** A read-only view on these layers, the same way. */
  view(
    key: string,
    layers: readonly Layer[],
    signal?: AbortSignal,
  ): Promise<{ rootfs: RootfsMount[]; layerDirs: string[] }>;
  /** Missing is success. */
  remove(key: string): Promise<void>;
  /** Sizes of the files of the writable layer alone, as the Engine API counts them: holes count, directories do not. */
  usage(key: string): Promise<number>;
  /** Bytes of the layers below (uncompressed file sizes). */
  sizeOfLayers(layers: readonly Layer[]): Promise<number>;
  /** Keys of the writable layers and views that this service has asked for. */
  keys(): Promise<string[]>;
}

/** Container names, unique over all nodes (bus.names). */
export interface NameRegistry {
  claim(name: string, containerId: string, about: ContainerFacts): Promise<void>;
  release(name: string, containerId: string): Promise<void>;
  /** Names that this node holds. */
  own(): Promise<{ name: string; containerId: string }[]>;
  /** As bus.names, of this node. */
  hold(name: string, containerId: string): Promise<number>;
  /** From another node; bus.names.transfer(). */
  takeOver(name: string, containerId: string, from: string, revision: number): Promise<void>;
  giveBack(name: string, containerId: string): Promise<void>;
  /** Who has a container, under whatever name. @throws UNAVAILABLE */
  ownerOf(name: string, containerId: string): Promise<{ nodeId: string; movedFrom?: string } | undefined>;
  /** Whether it was told that a container went from here for good, since that time (ns since the epoch). @throws UNAVAILABLE */
  toldOfMove(containerId: string, since: bigint): Promise<boolean>;
}

/** What one step changes; all of it or nothing. */
export interface Change {
  put?: ContainerRecord;
  /** A container's id whose record goes, with its execs. */
  del?: string;
  putExec?: ExecRecord;
  delExecs?: readonly string[];
  putVolume?: VolumeRecord;
  putVolumes?: readonly VolumeRecord[];
  putImport?: ImportRecord;
  /** A container's id. */
  delImport?: string;
  /** Names of volumes. */
  delVolumes?: readonly string[];
  /** How far a container's log has been sent to its server: a place in the compact log. */
  shipped?: { id: string; position: number };
  releaseName?: { name: string; containerId: string };
  events?: readonly EventRecord[];
}

export interface Records {
  load(): Promise<{
    containers: ContainerRecord[];
    execs: ExecRecord[];
    volumes: VolumeRecord[];
    imports: ImportRecord[];
    shipped: ReadonlyMap<string, number>;
  }>;
  /** Resolves once on the disk. */
  commit(change: Change): Promise<void>;
  /** Survives this process's death, not a power cut: for what the monitor's own files would tell again. */
  commitLazily(change: Change): Promise<void>;
  /**
   * As commitLazily, in order with it, and nobody waits: for what a crash within the next millisecond may take back, because
   * the monitor tells it again or because it concerns this process alone. A failure is logged.
   */
  commitSoon(change: Change): void;
  getMeta(key: string): Promise<string | undefined>;
  setMeta(key: string, value: string): Promise<void>;
}

/** Where a test makes the process die; elsewhere does nothing. */
export type FaultPoint = (name: string) => void;

/** Everything that the calls on containers work with. */
export interface Parts {
  nodeId: string;
  nodeName: string;
  hostId: string;
  paths: Paths;
  facts: HostFacts;
  records: Records;
  names: NameRegistry;
  snapshots: Snapshots;
  images: CommitTarget;
  launcher: MonitorLauncher;
  /** The program that --init binds into containers as /sbin/docker-init. */
  initProgram: string;
  /** Other OCI runtimes than our own. */
  runtimes: Runtimes;
  networks: Networks;
  /** Directories of CDI specs. */
  cdiDirs: readonly string[];
  registry: Registry;
  volumes: Volumes;
  log: Logger;
  fault: FaultPoint;
  /** Aborts when this process is asked to end: for work that no call waits for. */
  closing: AbortSignal;
}

/** Directories and files of containers. */
export interface Paths {
  stateDir: string;
  /** Bundle of a running container. */
  bundle(id: string): string;
  bundles: string;
  socket(id: string): string;
  sockets: string;
  /** A name that nobody has, for a socket at which one connection is handed over. */
  inbox(): string;
  /** An empty directory, for mounts that only one thread sees. */
  view: string;
  /** Log and exit record. */
  container(id: string): string;
  containers: string;
  /** Docker's json-file; of another driver its local copy is in our own format. */
  log(id: string): string;
  compactLog(id: string): string;
  exitFile(id: string): string;
  volume(volumeId: string): string;
  volumes: string;
}
