import type { Command } from "../command.ts";
import { splitReference } from "./reference.ts";

const command: Command = {
  usage: "commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
  summary: "Make an image of a container",
  flags: [
    { name: "author", short: "a", type: "string", help: "Who made it" },
    {
      name: "change",
      short: "c",
      type: "list",
      value: "instruction",
      help: "Dockerfile instruction to apply (CMD, ENV, …)",
    },
    { name: "message", short: "m", type: "string", help: "Comment" },
    { name: "pause", short: "p", type: "bool", help: "Freeze the container meanwhile (default true)" },
  ],
  examples: ["berth commit web app:2", "berth commit -c 'CMD [\"/app\"]' web app:2"],
  args: [1, 2],
  async run({ engine, flags, args: [container = "", target = ""], print }) {
    const { name, tag } = splitReference(target);
    const query = {
      container,
      repo: name,
      tag,
      author: flags.text("author"),
      comment: flags.text("message"),
      changes: flags.list("change"),
      pause: flags.text("pause") === "false" ? "0" : "1",
    };
    const { Id } = await engine.json<{ Id: string }>("POST", "/commit", { query });
    await print(`${Id}\n`);
    return 0;
  },
};

export default command;
