import type { Command } from "../command.ts";
import { containerPath } from "./each.ts";

/** By the Engine API's numbers: changed, added, deleted. */
const kinds = "CAD";

const command: Command = {
  usage: "diff CONTAINER",
  summary: "Show what a container changed in its image's files",
  flags: [],
  examples: ["berth diff web"],
  args: [1, 1],
  async run({ engine, args: [name = ""], print }) {
    const changes = await engine.json<{ Path: string; Kind: number }[] | null>("GET", containerPath(name, "/changes"));
    for (const { Path, Kind } of changes ?? []) await print(`${kinds[Kind] ?? "?"} ${Path}\n`);
    return 0;
  },
};

export default command;
