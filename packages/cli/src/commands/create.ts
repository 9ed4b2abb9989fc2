import { any, type Command } from "../command.ts";
import { containerFlags } from "./container-flags.ts";
import { makeContainer } from "./make.ts";

const command: Command = {
  usage: "create [OPTIONS] IMAGE [COMMAND] [ARG...]",
  summary: "Make a container without starting it",
  flags: containerFlags,
  examples: ["berth create --name web -p 8080:80 nginx", "berth start web"],
  args: [1, any],
  interspersed: false,
  async run(context) {
    await context.print(`${await makeContainer(context, false)}\n`);
    return 0;
  },
};

export default command;
