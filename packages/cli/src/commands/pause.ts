import { any, type Command } from "../command.ts";
import { containerPath, forEach } from "./each.ts";

const command: Command = {
  usage: "pause CONTAINER [CONTAINER...]",
  summary: "Freeze the processes of containers",
  flags: [],
  examples: ["berth pause web"],
  args: [1, any],
  run: (context) =>
    forEach(context, async (name) => {
      await context.engine.run("POST", containerPath(name, "/pause"));
      return name;
    }),
};

export default command;
