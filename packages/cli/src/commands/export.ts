import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { Command } from "../command.ts";
import { UsageError } from "../flags.ts";
import { containerPath } from "./each.ts";

const command: Command = {
  usage: "export [OPTIONS] CONTAINER",
  summary: "Write a container's files to an archive",
  flags: [{ name: "output", short: "o", type: "string", value: "file", help: "Write to a file instead of stdout" }],
  examples: ["berth export -o root.tar web", "berth export web | tar t"],
  args: [1, 1],
  async run({ engine, flags, args: [name = ""] }) {
    const file = flags.text("output");
    if (file === undefined && process.stdout.isTTY)
      throw new UsageError("cowardly refusing to save to a terminal. Use the -o flag or redirect");
    const answer = await engine.open("GET", containerPath(name, "/export"));
    await pipeline(answer, file === undefined ? process.stdout : createWriteStream(file), { end: file !== undefined });
    return 0;
  },
};

export default command;
