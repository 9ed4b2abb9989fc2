import { any, type Command, type Context } from "../command.ts";
import { EngineError } from "../engine/client.ts";
import { move } from "./move.ts";
import { setAvailability } from "./node-availability.ts";

const command: Command = {
  usage: "node drain [OPTIONS] NODE [NODE...]",
  summary: "Give nodes no new containers, and move those that are there to other nodes",
  flags: [
    { name: "no-move", type: "bool", help: "Leave the containers where they are" },
    { name: "quiet", short: "q", type: "bool", help: "Show no progress" },
  ],
  examples: ["berth node drain host2", "berth node drain --no-move host2"],
  args: [1, any],
  async run(context) {
    // All of them first: no container is moved to one that is drained next.
    const code = await setAvailability(context, "drain");
    if (context.flags.bool("no-move")) return code;
    let stayed = 0;
    for (const node of context.args) stayed += await empty(context, node);
    return stayed > 0 ? 1 : code;
  },
};

/** Moves away what is on a node, one after the other. Gives how many stayed. */
async function empty({ engine, flags, warn }: Context, node: string): Promise<number> {
  const path = `/berth/nodes/${encodeURIComponent(node)}/containers`;
  const containers = await engine.json<{ ID: string; Name: string }[]>("GET", path);
  let stayed = 0;
  for (const { ID, Name } of containers) {
    try {
      await move(engine, ID, { node: "", force: false, quiet: flags.bool("quiet"), stream: process.stdout });
    } catch (error) {
      if (!(error instanceof EngineError) || error.status === 0) throw error;
      warn(`${Name} stays on ${node}: ${error.message}`);
      stayed++;
    }
  }
  return stayed;
}

export default command;
