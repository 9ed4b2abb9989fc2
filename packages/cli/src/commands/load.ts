import { createReadStream } from "node:fs";
import type { Command } from "../command.ts";
import { UsageError } from "../flags.ts";
import { showProgress } from "./pull-image.ts";

const command: Command = {
  usage: "load [OPTIONS]",
  summary: "Load images from an archive",
  flags: [
    { name: "input", short: "i", type: "string", value: "file", help: "Read from a file instead of stdin" },
    { name: "quiet", short: "q", type: "bool", help: "Do not show progress" },
  ],
  examples: ["berth load -i images.tar", "berth load < images.tar.gz"],
  args: [0, 0],
  async run({ engine, flags }) {
    const file = flags.text("input");
    if (file === undefined && process.stdin.isTTY)
      throw new UsageError("requested load from stdin, but stdin is empty");
    const upload = file === undefined ? process.stdin : createReadStream(file, { highWaterMark: 256 * 1024 });
    const answer = await engine.open("POST", "/images/load", { query: { quiet: flags.bool("quiet") }, upload });
    await showProgress(answer, false, process.stdout);
    return 0;
  },
};

export default command;
