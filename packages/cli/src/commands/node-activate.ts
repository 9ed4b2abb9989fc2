import { any, type Command } from "../command.ts";
import { setAvailability } from "./node-availability.ts";

const command: Command = {
  usage: "node activate NODE [NODE...]",
  summary: "Let nodes have new containers again",
  flags: [],
  examples: ["berth node activate host2"],
  args: [1, any],
  run: (context) => setAvailability(context, "active"),
};

export default command;
