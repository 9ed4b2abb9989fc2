import { constants } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage } from "@berth/errors";
import type { ContainerRecord, ContainerSpec, Endpoint } from "../model.ts";
import { hostHostsText, hostsText, relinkedHosts, resolvConfText } from "../network/files.ts";
import type { Reservation } from "../network/networks.ts";
import type { NetworkFiles } from "../spec/mounts.ts";
import { containerOf } from "../validate/modes.ts";
import type { Container } from "./container.ts";
import type { Linked } from "./links.ts";
import type { Parts, Paths } from "./parts.ts";
import { isRunning } from "./state.ts";

const names = { resolvConf: "resolv.conf", hostname: "hostname", hosts: "hosts" } as const;
/** bytes; a container may write what it likes into its own. */
const maxHosts = 1 << 20;

/** Files on the host that are bound over those in /etc. Whose network is joined, his files are shared too. */
export const etcFiles = (paths: Paths, { id, etcFilesOf }: ContainerRecord): NetworkFilesMade =>
  ownEtcFiles(paths, etcFilesOf ?? id);

/** Those of one that joins no other's network. */
export function ownEtcFiles(paths: Paths, id: string): NetworkFilesMade {
  const directory = paths.container(id);
  return {
    resolvConf: join(directory, names.resolvConf),
    hostname: join(directory, names.hostname),
    hosts: join(directory, names.hosts),
  };
}

type NetworkFilesMade = { [key in keyof NetworkFiles]: string };

/** The same as inspect shows them: empty before there are any, the user's own where one is mounted in their place. */
export function shownEtcFiles(paths: Paths, record: ContainerRecord): NetworkFilesMade {
  const ran = record.hasBeenStartedBefore || record.state.startedAt !== "";
  const files = etcFiles(paths, record);
  const shown = (path: string, file: string) =>
    record.mounts.find(({ destination }) => destination === path)?.source ?? (ran ? file : "");
  return {
    resolvConf: shown("/etc/resolv.conf", files.resolvConf),
    hostname: shown("/etc/hostname", files.hostname),
    hosts: shown("/etc/hosts", files.hosts),
  };
}

/** Before a start: written in place, as a container that shares them may run already. */
export async function writeEtcFiles(
  parts: Parts,
  record: ContainerRecord,
  { endpoint, own }: Reservation,
  linked: Linked,
): Promise<void> {
  const { spec } = record;
  if (containerOf(spec.hostConfig.networkMode) !== undefined) return;
  const files = etcFiles(parts.paths, record);
  await Promise.all([
    writeFile(files.hosts, await hostsOf(spec, endpoint, own, linked), { mode: 0o644 }),
    writeFile(files.hostname, `${spec.config.hostname}\n`, { mode: 0o644 }),
    writeFile(files.resolvConf, await resolvConfText(spec, own), { mode: 0o644 }),
  ]);
}

async function hostsOf(
  spec: ContainerSpec,
  endpoint: Endpoint | undefined,
  own: boolean,
  linked: Linked,
): Promise<string> {
  return own ? hostsText(spec, endpoint?.ipAddress ?? "", endpoint?.gateway ?? "", linked.hosts) : hostHostsText(spec);
}

/** A container has a new address: those that link to it and run learn of it. Never throws; what they wrote themselves stays. */
export async function updateLinking(parts: Parts, child: Container): Promise<void> {
  const address = child.record.endpoints.find(({ network }) => network === "bridge")?.ipAddress ?? "";
  if (address === "") return;
  for (const { record } of parts.registry.linkedBy(child.id)) {
    if (!isRunning(record)) continue;
    const aliases = (record.links ?? []).flatMap((link) => (link.containerId === child.id ? [link.alias] : []));
    await updateHosts(etcFiles(parts.paths, record).hosts, aliases, address).catch((error: unknown) =>
      parts.log.warn(
        { container: record.id, err: errorMessage(error) },
        "cannot update the hosts of a linking container",
      ),
    );
  }
}

async function updateHosts(path: string, aliases: readonly string[], address: string): Promise<void> {
  const file = await open(path, constants.O_RDWR);
  try {
    if ((await file.stat()).size > maxHosts) return;
    const before = await file.readFile("utf8");
    const after = relinkedHosts(before, aliases, address);
    if (after === before) return;
    await file.truncate(0);
    await file.write(after, 0, "utf8");
  } finally {
    await file.close();
  }
}
