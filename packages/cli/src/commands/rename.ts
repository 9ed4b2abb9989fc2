import type { Command } from "../command.ts";
import { containerPath } from "./each.ts";

const command: Command = {
  usage: "rename CONTAINER NEW_NAME",
  summary: "Rename a container",
  flags: [],
  examples: ["berth rename web frontend"],
  args: [2, 2],
  async run({ engine, args: [name = "", next = ""] }) {
    await engine.run("POST", containerPath(name, "/rename"), { query: { name: next } });
    return 0;
  },
};

export default command;
