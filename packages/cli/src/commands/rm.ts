import { any, type Command } from "../command.ts";
import { containerPath, forEach } from "./each.ts";

const command: Command = {
  usage: "rm [OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Remove containers",
  flags: [
    { name: "force", short: "f", type: "bool", help: "Kill a running container first" },
    { name: "link", short: "l", type: "bool", help: "Remove a link (/web/db) instead of a container" },
    { name: "volumes", short: "v", type: "bool", help: "Remove its anonymous volumes too" },
  ],
  examples: ["berth rm web", "berth rm -f web", "berth rm $(berth ps -aq)"],
  args: [1, any],
  run: (context) =>
    forEach(context, async (name) => {
      const { flags } = context;
      await context.engine.run("DELETE", containerPath(name), {
        query: { force: flags.bool("force"), v: flags.bool("volumes"), link: flags.bool("link") },
      });
      return name;
    }),
};

export default command;
