import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { any, type Command } from "../command.ts";
import { UsageError } from "../flags.ts";

const command: Command = {
  usage: "save [OPTIONS] IMAGE [IMAGE...]",
  summary: "Write images to an archive",
  flags: [{ name: "output", short: "o", type: "string", value: "file", help: "Write to a file instead of stdout" }],
  examples: ["berth save -o busybox.tar busybox", "berth save app:1 | gzip > app.tar.gz"],
  args: [1, any],
  async run({ engine, flags, args }) {
    const file = flags.text("output");
    if (file === undefined && process.stdout.isTTY)
      throw new UsageError("cowardly refusing to save to a terminal. Use the -o flag or redirect");
    const answer = await engine.open("GET", "/images/get", { query: { names: args } });
    await pipeline(answer, file === undefined ? process.stdout : createWriteStream(file), { end: file !== undefined });
    return 0;
  },
};

export default command;
