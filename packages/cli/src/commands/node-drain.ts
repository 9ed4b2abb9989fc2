import { any, type Command } from "../command.ts";
import { setAvailability } from "./node-availability.ts";

const command: Command = {
  usage: "node drain NODE [NODE...]",
  summary: "Give nodes no new containers; those that are there stay",
  flags: [],
  examples: ["berth node drain host2"],
  args: [1, any],
  run: (context) => setAvailability(context, "drain"),
};

export default command;
