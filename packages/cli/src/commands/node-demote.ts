import { any, type Command } from "../command.ts";
import { setNatsServers } from "./nats-servers.ts";

const command: Command = {
  usage: "node demote [OPTIONS] NODE [NODE...]",
  summary: "Let nodes run no NATS server any more",
  flags: [{ name: "force", short: "f", type: "bool", help: "Also one that is away for good" }],
  examples: ["berth node demote host2 host3", "berth node demote --force host3"],
  args: [1, any],
  run: ({ engine, flags, args, print }) =>
    setNatsServers({ engine, print }, { Demote: args, Force: flags.bool("force") }),
};

export default command;
