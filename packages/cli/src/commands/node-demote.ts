import { any, type Command } from "../command.ts";

const command: Command = {
  usage: "node demote [OPTIONS] NODE [NODE...]",
  summary: "Let nodes run no NATS server any more",
  flags: [{ name: "force", short: "f", type: "bool", help: "Also one that is away for good" }],
  examples: ["berth node demote host2 host3", "berth node demote --force host3"],
  args: [1, any],
  async run({ engine, flags, args, print }) {
    const body = { Demote: args, Force: flags.bool("force") };
    const { Nodes } = await engine.json<{ Nodes: string[] }>("POST", "/berth/nats-servers", { body });
    await print(`NATS runs on ${Nodes.join(", ")}\n`);
    return 0;
  },
};

export default command;
