import type { Command } from "../command.ts";
import { pullImage } from "./pull-image.ts";

const command: Command = {
  usage: "pull [OPTIONS] NAME[:TAG|@DIGEST]",
  summary: "Download an image from a registry",
  flags: [
    { name: "platform", type: "string", value: "os/arch", help: "Platform to download (linux/arm64)" },
    { name: "quiet", short: "q", type: "bool", help: "Show the image's name alone" },
  ],
  examples: ["berth pull busybox", "berth pull localhost:5000/app:1.2", "berth pull --platform linux/arm64 debian"],
  args: [1, 1],
  async run({ engine, flags, args: [image = ""], print }) {
    await pullImage(engine, image, {
      platform: flags.text("platform"),
      quiet: flags.bool("quiet"),
      stream: process.stdout,
    });
    if (flags.bool("quiet")) await print(`${image}\n`);
    return 0;
  },
};

export default command;
