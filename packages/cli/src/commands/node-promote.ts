import { any, type Command } from "../command.ts";

const command: Command = {
  usage: "node promote NODE [NODE...]",
  summary: "Let nodes run a NATS server: with three or five, one or two of them may fail",
  flags: [],
  examples: ["berth node promote host2 host3"],
  args: [1, any],
  async run({ engine, args, print }) {
    const { Nodes } = await engine.json<{ Nodes: string[] }>("POST", "/berth/nats-servers", {
      body: { Promote: args },
    });
    await print(`NATS runs on ${Nodes.join(", ")}\n`);
    return 0;
  },
};

export default command;
