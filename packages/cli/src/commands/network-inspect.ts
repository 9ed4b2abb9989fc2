import { any, type Command } from "../command.ts";
import { Template } from "../output/template.ts";
import inspect from "./inspect.ts";

const command: Command = {
  ...inspect,
  usage: "network inspect [OPTIONS] NETWORK [NETWORK...]",
  summary: "Show everything about networks as JSON",
  flags: [{ name: "format", short: "f", type: "string", help: "json, or a template" }],
  examples: ["berth network inspect bridge"],
  args: [1, any],
  async run({ engine, flags, args, print }) {
    const format = flags.text("format");
    const found = await Promise.all(args.map((name) => engine.json("GET", `/networks/${encodeURIComponent(name)}`)));
    if (format === undefined || format === "json") await print(`${JSON.stringify(found, null, 4)}\n`);
    else await print(found.map((network) => `${new Template(format).render(network)}\n`).join(""));
    return 0;
  },
};

export default command;
