import { any, type Command } from "../command.ts";
import { inspectAs } from "./inspect.ts";

const command: Command = {
  usage: "volume inspect [OPTIONS] VOLUME [VOLUME...]",
  summary: "Show everything about volumes as JSON",
  flags: [{ name: "format", short: "f", type: "string", help: 'json, or a template: "{{.Mountpoint}}"' }],
  examples: ["berth volume inspect data"],
  args: [1, any],
  run: (context) => inspectAs(context, "volume"),
};

export default command;
