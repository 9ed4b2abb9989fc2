import { createReadStream } from "node:fs";
import type { Command } from "../command.ts";
import { showProgress } from "./pull-image.ts";
import { splitReference } from "./reference.ts";

const command: Command = {
  usage: "import [OPTIONS] FILE|- [REPOSITORY[:TAG]]",
  summary: "Make an image from an archive of files",
  flags: [
    {
      name: "change",
      short: "c",
      type: "list",
      value: "instruction",
      help: "Dockerfile instruction to apply (CMD, ENV, …)",
    },
    { name: "message", short: "m", type: "string", help: "Comment" },
    { name: "platform", type: "string", value: "os/arch", help: "Platform of the image" },
  ],
  examples: ["berth import root.tar app:1", "tar c . | berth import -c 'CMD [\"/app\"]' - app:1"],
  args: [1, 2],
  async run({ engine, flags, args: [source = "-", target = ""] }) {
    const { name, tag } = splitReference(target);
    const query = {
      fromSrc: "-",
      repo: name,
      tag,
      message: flags.text("message"),
      changes: flags.list("change"),
      platform: flags.text("platform"),
    };
    const upload = source === "-" ? process.stdin : createReadStream(source, { highWaterMark: 256 * 1024 });
    await showProgress(await engine.open("POST", "/images/create", { query, upload }), false, process.stdout);
    return 0;
  },
};

export default command;
