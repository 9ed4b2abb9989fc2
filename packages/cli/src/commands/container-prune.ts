import type { Command } from "../command.ts";
import { UsageError } from "../flags.ts";
import { size } from "../output/human.ts";
import { filterQuery } from "./filters.ts";

const command: Command = {
  usage: "container prune [OPTIONS]",
  summary: "Remove stopped containers",
  flags: [
    { name: "filter", type: "list", value: "key=value", help: "Those that match (until, label)" },
    { name: "force", short: "f", type: "bool", help: "Do not ask" },
  ],
  examples: ["berth container prune -f"],
  args: [0, 0],
  async run({ engine, flags, print }) {
    if (!flags.bool("force")) throw new UsageError("this removes things for good: say --force");
    const filters = flags.list("filter");
    const answer = await engine.json<{ ContainersDeleted: string[] | null; SpaceReclaimed: number }>(
      "POST",
      "/containers/prune",
      {
        query: { filters: filterQuery(filters) },
      },
    );
    for (const item of answer.ContainersDeleted ?? []) await print(`${item}\n`);
    await print(`Total reclaimed space: ${size(answer.SpaceReclaimed)}\n`);
    return 0;
  },
};

export default command;
