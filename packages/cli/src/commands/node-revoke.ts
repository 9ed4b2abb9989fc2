import { any, type Command } from "../command.ts";
import { forEach } from "./each.ts";

const command: Command = {
  usage: "node revoke NODE [NODE...]",
  summary: "Shut nodes out: their certificates are refused at once, and they get no new ones",
  flags: [],
  examples: ["berth node revoke host3"],
  args: [1, any],
  run: (context) =>
    forEach(context, async (name) => {
      await context.engine.run("POST", `/berth/members/${encodeURIComponent(name)}/revoke`);
      return name;
    }),
};

export default command;
