import { errorMessage } from "@berth/errors";
import { statfs } from "@berth/isolation";
import type { Parts } from "../containers/parts.ts";
import type { ContainerRecord, VolumeRecord } from "../model.ts";
import { checkSpec } from "../validate/spec.ts";

/** Why a container of another node can't come to this one, a sentence each; none: it can. */
export async function importObstacles(
  parts: Parts,
  record: ContainerRecord,
  volumes: readonly VolumeRecord[],
): Promise<string[]> {
  const { registry } = parts;
  const isHere = registry.get(record.id) !== undefined || registry.creating.has(record.id);
  const taken = volumes.filter(
    ({ name }) => parts.volumes.record(name) !== undefined || parts.volumes.isReserved(name),
  );
  return [
    ...(isHere ? ["it is here already"] : []),
    ...(registry.byName(record.name) !== undefined ? ["another container here has its name"] : []),
    ...taken.map(({ name }) => `there is a volume ${name} here already`),
    ...platformObstacle(parts, record),
    ...(await problems(async () => {
      await parts.runtimes.find(record.spec.hostConfig.runtime);
    })),
    // A copy: what the host can't do is taken out of it.
    ...(await problems(() => checkSpec(structuredClone(record.spec), parts.facts))),
  ];
}

/** @param size bytes */
export async function spaceObstacle(parts: Parts, size: number): Promise<string[]> {
  const { blockSize, availableBlocks } = await statfs(parts.paths.stateDir);
  const free = blockSize * availableBlocks;
  return free >= size ? [] : [`it takes ${size} bytes, and ${free} are free here`];
}

/** What a processor runs beside its own. */
const runs: Readonly<Record<string, readonly string[]>> = { x86_64: ["amd64", "386"], aarch64: ["arm64", "arm"] };

function platformObstacle({ facts }: Parts, { spec: { platform } }: ContainerRecord): string[] {
  const wanted = platform?.architecture ?? "";
  if (wanted === "" || (runs[facts.architecture] ?? [facts.architecture]).includes(wanted)) return [];
  return [`its image is for ${wanted}, and this node is ${facts.architecture}`];
}

async function problems(check: () => unknown): Promise<string[]> {
  try {
    await check();
    return [];
  } catch (error) {
    return [errorMessage(error)];
  }
}
