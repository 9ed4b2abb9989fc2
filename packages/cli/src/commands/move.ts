import type { Context } from "../command.ts";
import type { Engine } from "../engine/client.ts";
import { size } from "../output/human.ts";
import { showProgress } from "./pull-image.ts";

interface Plan {
  Name: string;
  Running: boolean;
  From: string;
  To: string;
  Parts: { Name: string; Bytes: number }[];
  Bytes: number;
  Obstacles: string[];
}

export interface MoveOptions {
  /** Empty: the one with the most free capacity. */
  node: string;
  force: boolean;
  quiet: boolean;
  stream: NodeJS.WriteStream;
}

const movePath = (container: string) => `/berth/containers/${encodeURIComponent(container)}/move`;

/** Moves a container and shows how far it is. @throws EngineError when it is where it was */
export async function move(engine: Engine, container: string, options: MoveOptions): Promise<void> {
  const { node, force, quiet, stream } = options;
  await showProgress(await engine.open("POST", movePath(container), { query: { node, force } }), quiet, stream);
}

/** What a move would do; resolves to 1 when it can't be done. */
export async function planMove(
  { engine, print }: Pick<Context, "engine" | "print">,
  container: string,
  node: string,
  force: boolean,
): Promise<number> {
  const plan = await engine.json<Plan>("POST", movePath(container), { query: { node, force, dryRun: true } });
  const stops = plan.Running ? "would be stopped, sent and started there" : "would be sent";
  const lines = [
    `${plan.Name} ${stops}: from ${plan.From} to ${plan.To}`,
    ...plan.Parts.map(({ Name, Bytes }) => `  ${Name}: ${size(Bytes)}`),
    `  together: ${size(plan.Bytes)}`,
    ...plan.Obstacles.map((why) => `It can't be moved: ${why}`),
  ];
  await print(`${lines.join("\n")}\n`);
  return plan.Obstacles.length > 0 ? 1 : 0;
}
