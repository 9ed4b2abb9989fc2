import type { Command } from "../command.ts";
import { UsageError } from "../flags.ts";
import { size } from "../output/human.ts";
import { filterQuery } from "./filters.ts";

const command: Command = {
  usage: "volume prune [OPTIONS]",
  summary: "Remove volumes that nobody gave a name and no container uses",
  flags: [
    { name: "all", short: "a", type: "bool", help: "Those with a name too" },
    { name: "filter", type: "list", value: "key=value", help: "Those that match (label)" },
    { name: "force", short: "f", type: "bool", help: "Do not ask" },
  ],
  examples: ["berth volume prune -f", "berth volume prune -af"],
  args: [0, 0],
  async run({ engine, flags, print }) {
    if (!flags.bool("force")) throw new UsageError("this removes things for good: say --force");
    const filters = [...flags.list("filter"), ...(flags.bool("all") ? ["all=true"] : [])];
    const answer = await engine.json<{ VolumesDeleted: string[] | null; SpaceReclaimed: number }>(
      "POST",
      "/volumes/prune",
      { query: { filters: filterQuery(filters) } },
    );
    for (const name of answer.VolumesDeleted ?? []) await print(`${name}\n`);
    await print(`Total reclaimed space: ${size(answer.SpaceReclaimed)}\n`);
    return 0;
  },
};

export default command;
