import type { Command } from "../command.ts";
import { UsageError } from "../flags.ts";
import { pairs } from "./pairs.ts";

const command: Command = {
  usage: "node update [OPTIONS] NODE",
  summary: "Change a node's labels and whether it gets new containers",
  flags: [
    { name: "availability", type: "string", value: "word", help: "active, or drain: it gets no new containers" },
    { name: "label-add", type: "list", value: "key=value", help: "Set a label" },
    { name: "label-rm", type: "list", value: "key", help: "Remove a label" },
  ],
  examples: ["berth node update --label-add disk=ssd host2"],
  args: [1, 1],
  async run({ engine, flags, args: [node = ""], print }) {
    const body = {
      Availability: flags.text("availability") ?? "",
      AddLabels: pairs(flags.list("label-add")),
      RemoveLabels: flags.list("label-rm"),
    };
    if (body.Availability === "" && Object.keys(body.AddLabels).length + body.RemoveLabels.length === 0)
      throw new UsageError("say what to change: --availability, --label-add or --label-rm");
    const { Name } = await engine.json<{ Name: string }>("POST", `/berth/nodes/${encodeURIComponent(node)}/update`, {
      body,
    });
    await print(`${Name}\n`);
    return 0;
  },
};

export default command;
