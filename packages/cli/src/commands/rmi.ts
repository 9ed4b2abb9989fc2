import { any, type Command } from "../command.ts";
import { forEach } from "./each.ts";

const command: Command = {
  usage: "rmi [OPTIONS] IMAGE [IMAGE...]",
  summary: "Remove images",
  flags: [
    { name: "force", short: "f", type: "bool", help: "Remove it although other names or stopped containers use it" },
    { name: "no-prune", type: "bool", help: "Keep untagged parents" },
  ],
  examples: ["berth rmi busybox", "berth rmi -f 4bcff63911fc"],
  args: [1, any],
  run: (context) =>
    forEach(context, async (name) => {
      const query = { force: context.flags.bool("force"), noprune: context.flags.bool("no-prune") };
      const removed = await context.engine.json<{ Untagged?: string; Deleted?: string }[]>(
        "DELETE",
        `/images/${name}`,
        { query },
      );
      return removed
        .map(({ Untagged, Deleted }) => (Untagged === undefined ? `Deleted: ${Deleted}` : `Untagged: ${Untagged}`))
        .join("\n");
    }),
};

export default command;
