import { any, type Command } from "../command.ts";
import { inspectAs } from "./inspect.ts";

const command: Command = {
  usage: "node inspect [OPTIONS] NODE [NODE...]",
  summary: "Show everything about nodes as JSON",
  flags: [{ name: "format", short: "f", type: "string", help: 'json, or a template: "{{.State}}"' }],
  examples: ["berth node inspect host2"],
  args: [1, any],
  run: (context) => inspectAs(context, "node"),
};

export default command;
