import { any, type Command } from "../command.ts";
import { forEach } from "./each.ts";

const command: Command = {
  usage: "node rm NODE [NODE...]",
  summary: "Forget nodes that are away for good, and free the names of their containers",
  flags: [],
  examples: ["berth node rm host2"],
  args: [1, any],
  run: (context) =>
    forEach(context, async (name) => {
      await context.engine.run("DELETE", `/berth/nodes/${encodeURIComponent(name)}`);
      return name;
    }),
};

export default command;
