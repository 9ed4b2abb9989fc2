import { any, type Command } from "../command.ts";
import { containerPath, forEach } from "./each.ts";

const command: Command = {
  usage: "kill [OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Send a signal to containers",
  flags: [{ name: "signal", short: "s", type: "string", help: "Signal to send (default SIGKILL)" }],
  examples: ["berth kill web", "berth kill --signal HUP web"],
  args: [1, any],
  run: (context) =>
    forEach(context, async (name) => {
      await context.engine.run("POST", containerPath(name, "/kill"), {
        query: { signal: context.flags.text("signal") },
      });
      return name;
    }),
};

export default command;
