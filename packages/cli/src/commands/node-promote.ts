import { any, type Command } from "../command.ts";
import { setNatsServers } from "./nats-servers.ts";

const command: Command = {
  usage: "node promote NODE [NODE...]",
  summary: "Let nodes run a NATS server: with three or five, one or two of them may fail",
  flags: [],
  examples: ["berth node promote host2 host3"],
  args: [1, any],
  run: ({ engine, args, print }) => setNatsServers({ engine, print }, { Promote: args }),
};

export default command;
