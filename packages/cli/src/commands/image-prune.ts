import type { Command } from "../command.ts";
import { UsageError } from "../flags.ts";
import { size } from "../output/human.ts";
import { filterQuery } from "./filters.ts";

const command: Command = {
  usage: "image prune [OPTIONS]",
  summary: "Remove unused images",
  flags: [
    { name: "all", short: "a", type: "bool", help: "Those with a name too, if no container uses them" },
    { name: "filter", type: "list", value: "key=value", help: "Those that match (until, label)" },
    { name: "force", short: "f", type: "bool", help: "Do not ask" },
  ],
  examples: ["berth image prune -f"],
  args: [0, 0],
  async run({ engine, flags, print }) {
    if (!flags.bool("force")) throw new UsageError("this removes things for good: say --force");
    const filters = flags.list("filter").concat(flags.bool("all") ? ["dangling=false"] : []);
    const answer = await engine.json<{
      ImagesDeleted: { Untagged?: string; Deleted?: string }[] | null;
      SpaceReclaimed: number;
    }>("POST", "/images/prune", {
      query: { filters: filterQuery(filters) },
    });
    for (const item of answer.ImagesDeleted ?? [])
      await print(`${item.Untagged === undefined ? `deleted: ${item.Deleted}` : `untagged: ${item.Untagged}`}\n`);
    await print(`Total reclaimed space: ${size(answer.SpaceReclaimed)}\n`);
    return 0;
  },
};

export default command;
