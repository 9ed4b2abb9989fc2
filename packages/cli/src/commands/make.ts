import { writeFileSync } from "node:fs";
import type { Context } from "../command.ts";
import { EngineError } from "../engine/client.ts";
import { UsageError } from "../flags.ts";
import { containerBody } from "./container-body.ts";
import { pullImage } from "./pull-image.ts";

/** Makes the container of run and create, pulling the image where it is missing. Resolves to its id. */
export async function makeContainer(context: Context, isRun: boolean): Promise<string> {
  const { engine, flags, args, warn } = context;
  const [image = "", ...cmd] = args;
  const body = containerBody(flags, image, cmd, isRun);
  if (flags.bool("tty") && isRun && !flags.bool("detach") && flags.bool("interactive") && !process.stdin.isTTY) {
    throw new UsageError("the input device is not a TTY");
  }
  const query = { name: flags.text("name"), platform: flags.text("platform") };
  const create = () => engine.json<{ Id: string; Warnings: string[] }>("POST", "/containers/create", { query, body });
  const policy = flags.text("pull") ?? "missing";
  if (!["missing", "always", "never"].includes(policy))
    throw new UsageError(`invalid pull option "${policy}": expected missing, always or never`);
  const pull = () =>
    pullImage(engine, image, { platform: flags.text("platform"), quiet: flags.bool("quiet"), stream: process.stderr });
  if (policy === "always") await pull();
  let made: { Id: string; Warnings: string[] };
  try {
    made = await create();
  } catch (error) {
    const isMissing = error instanceof EngineError && error.status === 404 && error.message.startsWith("No such image");
    if (!isMissing || policy !== "missing") throw error;
    warn(`Unable to find image '${image}' locally`);
    await pull();
    made = await create();
  }
  for (const warning of made.Warnings ?? []) warn(`WARNING: ${warning}`);
  const file = flags.text("cidfile");
  if (file !== undefined) writeFileSync(file, made.Id, { flag: "wx" });
  return made.Id;
}
