import { lstat, realpath, stat } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { basename, dirname, join, posix, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { extractTree } from "../archive/extract.ts";
import { packTree } from "../archive/pack.ts";
import type { Command, Context } from "../command.ts";
import { type Engine, EngineError } from "../engine/client.ts";
import { UsageError } from "../flags.ts";
import { containerPath } from "./each.ts";

const command: Command = {
  usage: "cp [OPTIONS] CONTAINER:SRC DEST|-  or  SRC|- CONTAINER:DEST",
  summary: "Copy files between a container and here",
  flags: [
    { name: "archive", short: "a", type: "bool", help: "Owners as they are at the source" },
    { name: "follow-link", short: "L", type: "bool", help: "What SRC leads to, when it is a link" },
    { name: "quiet", short: "q", type: "bool", help: "Do not say what was copied" },
  ],
  examples: ["berth cp web:/etc/nginx/nginx.conf .", "berth cp site/. web:/var/www", "berth cp web:/data - | tar t"],
  args: [2, 2],
  async run(context) {
    const [from = "", to = ""] = context.args;
    const [source, target] = [parsePlace(from), parsePlace(to)];
    if (source.container !== undefined && target.container !== undefined)
      throw new UsageError("copying between containers is not supported");
    if (source.container !== undefined) await copyOut(context, source as InContainer, target.path);
    else if (target.container !== undefined) await copyIn(context, source.path, target as InContainer);
    else throw new UsageError("must specify at least one container source");
    return 0;
  },
};

interface Place {
  /** undefined: here */
  container: string | undefined;
  path: string;
}

type InContainer = Place & { container: string };

/** "CONTAINER:PATH"; a path that has a colon of its own begins with "/" or ".". */
export function parsePlace(text: string): Place {
  const colon = text.indexOf(":");
  if (colon <= 0 || /^[./]/.test(text)) return { container: undefined, path: text };
  return { container: text.slice(0, colon), path: text.slice(colon + 1) };
}

interface Stat {
  name: string;
  isDirectory: boolean;
  isLink: boolean;
  linkTarget: string;
}

/** Go's os.FileMode, as the header has it. */
const [modeDir, modeLink] = [2 ** 31, 2 ** 27];

function statOf(answer: IncomingMessage): Stat {
  const text = Buffer.from(String(answer.headers["x-docker-container-path-stat"] ?? ""), "base64").toString("utf8");
  const { name, mode, linkTarget } = JSON.parse(text) as { name: string; mode: number; linkTarget: string };
  const has = (bit: number) => Math.floor(mode / bit) % 2 === 1;
  return { name, isDirectory: has(modeDir), isLink: has(modeLink), linkTarget };
}

/** undefined: nothing is there. @throws EngineError */
async function statIn(engine: Engine, { container, path }: InContainer): Promise<Stat | undefined> {
  try {
    const answer = await engine.open("HEAD", containerPath(container, "/archive"), { query: { path } });
    answer.resume();
    return statOf(answer);
  } catch (error) {
    // An answer to HEAD has no words; whoever goes on with the path is told them.
    if (error instanceof EngineError && error.status === 404) return undefined;
    throw error;
  }
}

/** A path with the blank end that says "what is in it" kept. */
const wantsContent = (path: string): boolean => path === "." || path.endsWith("/.");
const endsAsDirectory = (path: string): boolean => path.endsWith("/") || wantsContent(path);

async function copyOut({ engine, flags, warn }: Context, source: InContainer, to: string): Promise<void> {
  let path = source.path;
  if (flags.bool("follow-link")) {
    const found = await statIn(engine, source);
    if (found?.isLink === true) path = found.linkTarget;
  }
  const answer = await engine.open("GET", containerPath(source.container, "/archive"), { query: { path } });
  if (to === "-") {
    if (process.stdout.isTTY) throw new UsageError("refusing to write an archive to a terminal, redirect it");
    await pipeline(answer, process.stdout, { end: false });
    return;
  }
  const { name, isDirectory } = statOf(answer);
  const target = await localTarget(to, wantsContent(path) ? "" : basename(source.path), isDirectory);
  // The archive's own first name is that of the path asked for.
  const bytes = await extractTree(answer, {
    from: wantsContent(path) ? "." : name,
    to: target,
    owners: flags.bool("archive"),
  });
  if (!flags.bool("quiet")) warn(`Copied ${bytes} bytes to ${to}`);
}

/** Where something called `name` ("": the content of a directory) is to go. */
async function localTarget(to: string, name: string, isDirectory: boolean): Promise<string> {
  const found = await stat(to).catch(() => undefined);
  if (found?.isDirectory()) return join(await realpath(to), name);
  if (found !== undefined) {
    if (isDirectory) throw new Error("cannot copy directory");
    if (endsAsDirectory(to)) throw new Error(`not a directory: ${to}`);
    return realpath(to);
  }
  if (!isDirectory && endsAsDirectory(to)) throw new Error("destination directory must already exist");
  const parent = dirname(resolve(to));
  const above = await stat(parent).catch(() => undefined);
  if (!above?.isDirectory()) throw new Error(`invalid output path: directory "${parent}" does not exist`);
  return resolve(to);
}

async function copyIn({ engine, flags, warn }: Context, from: string, given: InContainer): Promise<void> {
  const { container } = given;
  let path = given.path;
  let found = await statIn(engine, { container, path });
  // A link is written through, wherever in the container it leads.
  if (found?.isLink === true) {
    path = posix.resolve(posix.dirname(posix.join("/", path)), found.linkTarget);
    found = await statIn(engine, { container, path });
  }
  const query = { noOverwriteDirNonDir: true, copyUIDGID: flags.bool("archive") };
  const send = (directory: string, upload: AsyncIterable<Uint8Array>) =>
    engine.run("PUT", containerPath(container, "/archive"), { query: { path: directory, ...query }, upload });
  if (from === "-") {
    if (found !== undefined && !found.isDirectory)
      throw new Error(`destination "${container}:${given.path}" must be a directory`);
    await send(path, process.stdin);
    return;
  }
  const source = flags.bool("follow-link") ? await realpath(from) : from;
  // With a slash at its end a link to a directory is followed by the look itself.
  const local = await (endsAsDirectory(from) ? stat(source) : lstat(source));
  if (found !== undefined && !found.isDirectory && local.isDirectory()) throw new Error("cannot copy directory");
  if (found?.isDirectory !== true && !local.isDirectory() && endsAsDirectory(given.path))
    throw new Error("destination directory must already exist");
  const [directory, name] =
    found?.isDirectory === true
      ? [path, wantsContent(from) ? "." : basename(resolve(from))]
      : [posix.dirname(posix.join("/", path.replace(/\/+$/, ""))), posix.basename(posix.resolve("/", path))];
  let bytes = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of packTree(source, name) as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      yield chunk;
    }
  }
  await send(directory, counted());
  if (!flags.bool("quiet")) warn(`Copied ${bytes} bytes to ${container}:${given.path}`);
}

export default command;
