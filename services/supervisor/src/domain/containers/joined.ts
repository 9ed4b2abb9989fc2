import { type BerthError, isBerthError } from "@berth/errors";
import { conflict, failed, invalid } from "../errors.ts";
import type { ContainerRecord } from "../model.ts";
import { containerOf } from "../validate/modes.ts";
import type { Container } from "./container.ts";
import type { Parts } from "./parts.ts";
import { isRunning } from "./state.ts";

/** Namespaces of other containers, as paths of their first process's. */
export interface Joined {
  network: string | null;
  /** Id of the container whose files in /etc come with the network. */
  etcFilesOf: string | null;
  ipc: string | null;
  /** The donor's /dev/shm: it is part of what --ipc shares. */
  shm: string | null;
  pid: string | null;
}

/** Namespaces that a container joins. Throws what Docker answers when one does not run, is not there, or does not share. */
export function joinedContainers(parts: Parts, record: ContainerRecord): Joined {
  const { hostConfig: host } = record.spec;
  const network = networkDonor(parts, record);
  const ipc = ipcDonor(parts, host.ipcMode);
  const pid = pidDonor(parts, host.pidMode);
  const path = (donor: Container | undefined, file: string) =>
    donor === undefined ? null : `/proc/${donor.record.state.pid}/${file}`;
  return {
    network: path(network, "ns/net"),
    // It may have joined another's itself.
    etcFilesOf: network === undefined ? null : (network.record.etcFilesOf ?? network.id),
    ipc: path(ipc, "ns/ipc"),
    shm: path(ipc, "root/dev/shm"),
    pid: path(pid, "ns/pid"),
  };
}

function networkDonor(parts: Parts, record: ContainerRecord): Container | undefined {
  const reference = containerOf(record.spec.hostConfig.networkMode);
  if (reference === undefined) return undefined;
  const donor = found(parts, reference, (message) => failed(`joining network namespace of container: ${message}`));
  if (donor.id === record.id) throw failed("cannot join own network namespace");
  const { name, state } = donor.record;
  if (!isRunning(donor.record))
    throw conflict(`cannot join network namespace of a non running container: container ${name} is ${state.status}`);
  return donor;
}

const notShared = "non-shareable IPC (hint: use IpcMode:shareable for the donor container)";

function ipcDonor(parts: Parts, mode: string): Container | undefined {
  const reference = containerOf(mode);
  if (reference === undefined) return undefined;
  const prefix = "failed to join IPC namespace: ";
  const donor = found(parts, reference, (message) => invalid(`${prefix}${message}`));
  if (!isRunning(donor.record)) throw conflict(`${prefix}container ${donor.id} is not running`);
  if (!["shareable", "host"].includes(donor.record.spec.hostConfig.ipcMode))
    throw invalid(`${prefix}container ${donor.id}: ${notShared}`);
  return donor;
}

function pidDonor(parts: Parts, mode: string): Container | undefined {
  const reference = containerOf(mode);
  if (reference === undefined) return undefined;
  const prefix = "failed to join PID namespace: ";
  const donor = found(parts, reference, (message) => failed(`${prefix}${message}`));
  if (!isRunning(donor.record)) throw failed(`${prefix}container ${donor.id} is not running`);
  return donor;
}

function found(parts: Parts, reference: string, fail: (message: string) => BerthError): Container {
  if (reference === "") throw fail('invalid name or ID supplied: ""');
  try {
    return parts.registry.find(reference);
  } catch (error) {
    throw isBerthError(error) ? fail(error.message) : error;
  }
}
