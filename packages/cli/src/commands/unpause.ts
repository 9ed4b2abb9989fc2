import { any, type Command } from "../command.ts";
import { containerPath, forEach } from "./each.ts";

const command: Command = {
  usage: "unpause CONTAINER [CONTAINER...]",
  summary: "Thaw paused containers",
  flags: [],
  examples: ["berth unpause web"],
  args: [1, any],
  run: (context) =>
    forEach(context, async (name) => {
      await context.engine.run("POST", containerPath(name, "/unpause"));
      return name;
    }),
};

export default command;
