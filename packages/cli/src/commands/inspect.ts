import { any, type Command, type Context } from "../command.ts";
import { EngineError } from "../engine/client.ts";
import { Template } from "../output/template.ts";
import { containerPath } from "./each.ts";

const command: Command = {
  usage: "inspect [OPTIONS] NAME|ID [NAME|ID...]",
  summary: "Show everything about containers or images as JSON",
  flags: [
    { name: "format", short: "f", type: "string", help: 'json, or a template: "{{.State.Status}}"' },
    { name: "size", short: "s", type: "bool", help: "Sizes of containers too" },
    { name: "type", type: "string", value: "kind", help: "container, image, network or volume" },
  ],
  examples: [
    "berth inspect web",
    "berth inspect -f '{{.NetworkSettings.IPAddress}}' web",
    "berth inspect --type image busybox",
  ],
  args: [1, any],
  run: (context) => inspectAs(context, context.flags.text("type")),
};

/** Shows what the names stand for; without a type the first kind that has one of that name. */
export async function inspectAs(context: Context, type: string | undefined): Promise<number> {
  const { engine, flags, args, print, warn } = context;
  const format = flags.text("format");
  const template = format === undefined || format === "json" ? undefined : new Template(format);
  const found: unknown[] = [];
  let code = 0;
  for (const name of args) {
    const value = await look(pathsOf(name, type, flags.bool("size")), (path) => engine.json("GET", path));
    if (value === undefined) {
      warn(`Error: No such object: ${name}`);
      code = 1;
    } else if (template !== undefined) await print(`${template.render(value)}\n`);
    else found.push(value);
  }
  if (template === undefined) await print(`${JSON.stringify(found, null, format === "json" ? 0 : 4)}\n`);
  return code;
}

function pathsOf(name: string, type: string | undefined, size: boolean): string[] {
  const paths: Record<string, string> = {
    container: containerPath(name, size ? "/json?size=1" : "/json"),
    image: `/images/${name}/json`,
    network: `/networks/${encodeURIComponent(name)}`,
    volume: `/volumes/${encodeURIComponent(name)}`,
  };
  // Not one of the kinds that a bare name may mean: a node's is often a container's too.
  if (type === "node") return [`/berth/nodes/${encodeURIComponent(name)}`];
  return type === undefined ? Object.values(paths) : [paths[type] ?? ""];
}

async function look(paths: readonly string[], get: (path: string) => Promise<unknown>): Promise<unknown> {
  for (const path of paths) {
    try {
      return await get(path);
    } catch (error) {
      // What is no name of the one kind (400) may be one of the next.
      if (!(error instanceof EngineError) || (error.status !== 404 && error.status !== 400)) throw error;
    }
  }
  return undefined;
}

export default command;
