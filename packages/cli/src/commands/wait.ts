import { any, type Command } from "../command.ts";
import { containerPath, forEach } from "./each.ts";

const command: Command = {
  usage: "wait CONTAINER [CONTAINER...]",
  summary: "Wait until containers stop and show their exit codes",
  flags: [],
  examples: ["berth wait job"],
  args: [1, any],
  run: (context) =>
    forEach(context, async (name) => {
      const { StatusCode } = await context.engine.json<{ StatusCode: number }>("POST", containerPath(name, "/wait"));
      return String(StatusCode);
    }),
};

export default command;
