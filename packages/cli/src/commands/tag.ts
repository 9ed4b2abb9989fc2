import type { Command } from "../command.ts";
import { splitReference } from "./reference.ts";

const command: Command = {
  usage: "tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
  summary: "Give an image another name",
  flags: [],
  examples: ["berth tag busybox:latest localhost:5000/busybox:1"],
  args: [2, 2],
  async run({ engine, args: [source = "", target = ""] }) {
    const { name, tag } = splitReference(target);
    await engine.run("POST", `/images/${source}/tag`, { query: { repo: name, tag } });
    return 0;
  },
};

export default command;
