import type { Command, Context } from "../command.ts";
import { UsageError } from "../flags.ts";
import { duration, parseNanos } from "../output/human.ts";
import { type Column, renderRows } from "../output/table.ts";

interface Token {
  Id: string;
  Roles: string[];
  ExpiresAt: string;
  Uses: number;
  UsesLeft: number;
  UsedBy: string[];
}

const columns: Column[] = [
  { heading: "ID", field: "ID" },
  { heading: "EXPIRES IN", field: "ExpiresIn" },
  { heading: "USES LEFT", field: "UsesLeft" },
  { heading: "SERVICES", field: "Services" },
  { heading: "USED BY", field: "UsedBy" },
];

const command: Command = {
  usage: "node token [OPTIONS] [ls|revoke ID...]",
  summary: "Make a token that lets a host join, list those there are, or revoke some",
  flags: [
    { name: "roles", type: "list", value: "service", help: "Services that the host may run (all but the image store)" },
    { name: "ttl", type: "string", value: "duration", help: "How long the token is good (1h)" },
    { name: "uses", type: "int", help: "How many hosts may join by it (1)" },
    { name: "format", type: "string", help: "Of ls: json, or a template" },
    { name: "quiet", short: "q", type: "bool", help: "Show the token (of ls: ids) alone" },
  ],
  examples: [
    "berth node token",
    "berth node token --ttl 10m --uses 3",
    "berth node token ls",
    "berth node token revoke 1f2e3d4c5b6a",
  ],
  args: [0, Number.POSITIVE_INFINITY],
  async run(context) {
    const [word, ...ids] = context.args;
    if (word === undefined) return create(context);
    if (word === "ls" || word === "list") return list(context);
    if (word !== "revoke" && word !== "rm") throw new UsageError(`"${word}" is not known here, expected ls or revoke`);
    if (ids.length === 0) throw new UsageError("revoke takes the id of a token (berth node token ls)");
    for (const id of ids) {
      await context.engine.run("DELETE", `/berth/node-tokens/${encodeURIComponent(id)}`);
      await context.print(`${id}\n`);
    }
    return 0;
  },
};

async function create({ engine, flags, print, warn }: Context): Promise<number> {
  const ttl = flags.text("ttl");
  const nanos = ttl === undefined ? 0 : parseNanos(ttl);
  if (nanos === undefined || (ttl !== undefined && nanos < 1e9))
    throw new UsageError(`invalid --ttl "${ttl}": expected a duration such as 10m or 2h, of a second at least`);
  const uses = flags.int("uses");
  if (uses !== undefined && uses < 1) throw new UsageError("--uses: expected at least 1");
  const roles = flags.list("roles").flatMap((words) => words.split(","));
  const body = { Roles: roles, TTLSeconds: Math.floor(nanos / 1e9), Uses: uses ?? 0 };
  const made = await engine.json<Token & { Token: string }>("POST", "/berth/node-tokens", { body });
  await print(`${made.Token}\n`);
  if (flags.bool("quiet")) return 0;
  const often = made.Uses === 1 ? "once" : `${made.Uses} times`;
  warn(`Good ${often}, for ${remaining(made)}, for ${made.Roles.join(", ")}. On the new host:`);
  warn(`  npm start -- --join TOKEN`);
  return 0;
}

async function list({ engine, flags, print }: Context): Promise<number> {
  const tokens = await engine.json<Token[]>("GET", "/berth/node-tokens");
  if (flags.bool("quiet")) {
    await print(tokens.map(({ Id }) => `${Id}\n`).join(""));
    return 0;
  }
  const rows = tokens.map((token) => ({
    ID: token.Id,
    ExpiresIn: remaining(token),
    UsesLeft: `${token.UsesLeft}/${token.Uses}`,
    Services: token.Roles.join(","),
    UsedBy: token.UsedBy.join(","),
  }));
  await print(renderRows(flags.text("format"), columns, rows));
  return 0;
}

const remaining = ({ ExpiresAt }: Token): string =>
  duration(Math.max(0, Date.parse(ExpiresAt) - Date.now())).toLowerCase();

export default command;
