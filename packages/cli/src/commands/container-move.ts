import type { Command } from "../command.ts";
import { move, planMove } from "./move.ts";

const command: Command = {
  usage: "container move [OPTIONS] CONTAINER NODE",
  summary: "Stop a container, and start it again on another node with all that it wrote",
  flags: [
    { name: "dry-run", type: "bool", help: "Show what would be sent and what stands in the way, and change nothing" },
    { name: "force", short: "f", type: "bool", help: "To a node that the container's labels do not allow, too" },
    { name: "quiet", short: "q", type: "bool", help: "Show no progress" },
  ],
  examples: ["berth container move web host2", "berth container move --dry-run db host3"],
  args: [2, 2],
  async run({ engine, flags, args: [container = "", node = ""], print }) {
    const force = flags.bool("force");
    if (flags.bool("dry-run")) return planMove({ engine, print }, container, node, force);
    await move(engine, container, { node, force, quiet: flags.bool("quiet"), stream: process.stdout });
    return 0;
  },
};

export default command;
