import { BerthError } from "@berth/errors";
import { invalid } from "../errors.ts";
import type { ContainerRecord, Departure, VolumeRecord } from "../model.ts";
import { checkName } from "../validate/names.ts";
import { checkVolumeName } from "../volumes/options.ts";

/** What two supervisors tell each other of a container that goes from the one to the other. */
export interface Manifest {
  format: typeof format;
  record: ContainerRecord;
  volumes: VolumeRecord[];
  /** It is to be started there. */
  ran: boolean;
  from: string;
  fromName: string;
  /** Of its name's entry; see Names.transfer. */
  revision: number;
  /** How far its log has been sent. */
  shipped?: number | undefined;
}

/** Raised when a supervisor of the version before would misunderstand it. */
const format = 1;

export function writeManifest(manifest: Omit<Manifest, "format">): Buffer {
  return Buffer.from(JSON.stringify({ format, ...manifest }));
}

/** The record as it is to be on the other node. */
export function portableRecord(record: ContainerRecord, departure: Departure | undefined): ContainerRecord {
  const { departure: _, arrival: __, etcFilesOf: ___, ...rest } = structuredClone(record);
  return {
    ...rest,
    hasBeenManuallyStopped: departure?.hasBeenManuallyStopped ?? record.hasBeenManuallyStopped,
    state: { ...rest.state, pid: 0, monitorPid: 0 },
    starting: false,
    ports: [],
  };
}

/** @throws INVALID_ARGUMENT */
export function readManifest(bytes: Uint8Array): Manifest {
  const manifest = parse(bytes);
  if (manifest.format !== format)
    throw new BerthError("INVALID_ARGUMENT", "the other node's version has another way to send containers");
  const { record, volumes } = manifest;
  if (!/^[0-9a-f]{64}$/.test(record.id)) throw invalid("a container without an id was sent");
  checkName(record.name);
  for (const { name } of volumes) checkVolumeName(name);
  return manifest;
}

function parse(bytes: Uint8Array): Manifest {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8")) as Manifest;
  } catch (error) {
    throw new BerthError("INVALID_ARGUMENT", "a container was sent without a readable manifest", {}, { cause: error });
  }
}
