import type { Command } from "../command.ts";
import { UsageError } from "../flags.ts";
import { pairs } from "./pairs.ts";

const command: Command = {
  usage: "volume create [OPTIONS] [VOLUME]",
  summary: "Make a volume",
  flags: [
    { name: "driver", short: "d", type: "string", value: "name", help: "Driver that keeps it (local)" },
    { name: "label", type: "list", value: "key=value", help: "Set a label" },
    { name: "name", type: "string", value: "name", help: "Its name, as the argument" },
    { name: "opt", short: "o", type: "list", value: "key=value", help: "An option for the driver" },
  ],
  examples: [
    "berth volume create data",
    "berth volume create -o type=nfs -o device=:/export -o o=addr=10.0.0.1,rw shared",
  ],
  args: [0, 1],
  async run({ engine, flags, args, print }) {
    const named = flags.text("name");
    if (named !== undefined && args.length > 0)
      throw new UsageError("give the name once, as --name or as the argument");
    const body = {
      Name: args[0] ?? named ?? "",
      Driver: flags.text("driver") ?? "local",
      DriverOpts: pairs(flags.list("opt")),
      Labels: pairs(flags.list("label")),
    };
    const { Name } = await engine.json<{ Name: string }>("POST", "/volumes/create", { body });
    await print(`${Name}\n`);
    return 0;
  },
};

export default command;
