import { any, type Command } from "../command.ts";
import { forEach } from "./each.ts";

const command: Command = {
  usage: "volume rm [OPTIONS] VOLUME [VOLUME...]",
  summary: "Remove volumes",
  flags: [{ name: "force", short: "f", type: "bool", help: "A missing one is no error" }],
  examples: ["berth volume rm data"],
  args: [1, any],
  run: (context) =>
    forEach(context, async (name) => {
      const query = { force: context.flags.bool("force") };
      await context.engine.run("DELETE", `/volumes/${encodeURIComponent(name)}`, { query });
      return name;
    }),
};

export default command;
