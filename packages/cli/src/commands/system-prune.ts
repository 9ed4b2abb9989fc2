import type { Command } from "../command.ts";
import { UsageError } from "../flags.ts";
import { size } from "../output/human.ts";
import { filterQuery } from "./filters.ts";

interface Pruned {
  ContainersDeleted?: string[] | null;
  NetworksDeleted?: string[] | null;
  VolumesDeleted?: string[] | null;
  ImagesDeleted?: { Untagged?: string; Deleted?: string }[] | null;
  SpaceReclaimed?: number;
}

const command: Command = {
  usage: "system prune [OPTIONS]",
  summary: "Remove stopped containers, unused networks and images",
  flags: [
    { name: "all", short: "a", type: "bool", help: "Images with a name too, if no container uses them" },
    { name: "filter", type: "list", value: "key=value", help: "Those that match (until, label)" },
    { name: "force", short: "f", type: "bool", help: "Do not ask" },
    { name: "volumes", type: "bool", help: "Unused anonymous volumes too" },
  ],
  examples: ["berth system prune -f", "berth system prune -af --volumes --filter label=ci"],
  args: [0, 0],
  async run({ engine, flags, print }) {
    if (!flags.bool("force")) throw new UsageError("this removes things for good: say --force");
    const given = flags.list("filter");
    if (flags.bool("volumes") && given.some((filter) => filter.startsWith("until="))) {
      throw new UsageError('the "until" filter is not supported with "--volumes"');
    }
    const imageFilters = flags.bool("all") ? [...given, "dangling=false"] : given;
    // Containers first: what they used is unused then.
    const calls: [string, string, string[]][] = [
      ["containers", "Deleted Containers", given],
      ["networks", "Deleted Networks", given],
      ...(flags.bool("volumes") ? ([["volumes", "Deleted Volumes", given]] as [string, string, string[]][]) : []),
      ["images", "Deleted Images", imageFilters],
    ];
    let reclaimed = 0;
    for (const [kind, heading, filters] of calls) {
      const answer = await engine.json<Pruned>("POST", `/${kind}/prune`, { query: { filters: filterQuery(filters) } });
      const lines = linesOf(answer);
      if (lines.length > 0) await print(`${heading}:\n${lines.join("\n")}\n\n`);
      reclaimed += answer.SpaceReclaimed ?? 0;
    }
    await print(`Total reclaimed space: ${size(reclaimed)}\n`);
    return 0;
  },
};

function linesOf({ ContainersDeleted, NetworksDeleted, VolumesDeleted, ImagesDeleted }: Pruned): string[] {
  const images = (ImagesDeleted ?? []).map(({ Untagged, Deleted }) =>
    Untagged === undefined ? `deleted: ${Deleted}` : `untagged: ${Untagged}`,
  );
  return [...(ContainersDeleted ?? []), ...(NetworksDeleted ?? []), ...(VolumesDeleted ?? []), ...images];
}

export default command;
