import { readdir, readFile, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { BerthError } from "@berth/errors";
import type { PluginAddress } from "./client.ts";

/** Where plugins announce themselves. */
export interface PluginDirectories {
  /** With sockets: NAME.sock or NAME/NAME.sock, the first directory's win. */
  sockets: readonly string[];
  /** With NAME.spec (an address) and NAME.json (an address and keys), likewise. */
  specs: readonly string[];
}

/** What a caller may take for a plugin's name: it becomes a file name. */
const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.:@-]{0,254}$/;

/** Names of all that could be plugins. */
export async function scanPlugins({ sockets, specs }: PluginDirectories): Promise<string[]> {
  const found = new Set<string>();
  for (const directory of sockets) for (const name of await namesIn(directory, [".sock"])) found.add(name);
  for (const directory of specs) for (const name of await namesIn(directory, [".spec", ".json"])) found.add(name);
  return [...found].filter((name) => namePattern.test(name)).sort();
}

async function namesIn(directory: string, extensions: readonly string[]): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  return entries.flatMap((entry) => {
    const extension = extname(entry.name);
    if (entry.isDirectory()) return [entry.name];
    return extensions.includes(extension) ? [entry.name.slice(0, -extension.length)] : [];
  });
}

/** How to reach a plugin; undefined when there is none of that name. @throws INTERNAL for a spec that can't be read */
export async function findPlugin(
  { sockets, specs }: PluginDirectories,
  name: string,
): Promise<PluginAddress | undefined> {
  if (!namePattern.test(name)) return undefined;
  for (const path of pathsOf(sockets, name, ".sock")) {
    const status = await stat(path).catch(() => undefined);
    if (status?.isSocket()) return { url: `unix://${path}` };
  }
  for (const path of [...pathsOf(specs, name, ".spec"), ...pathsOf(specs, name, ".json")]) {
    const text = await readFile(path, "utf8").catch(() => undefined);
    if (text !== undefined) return path.endsWith(".json") ? readJson(path, text) : readAddress(path, text.trim());
  }
  return undefined;
}

const pathsOf = (directories: readonly string[], name: string, extension: string): string[] =>
  directories.flatMap((directory) => [
    join(directory, `${name}${extension}`),
    join(directory, name, `${name}${extension}`),
  ]);

function readAddress(path: string, url: string): PluginAddress {
  if (!/^(unix|tcp|http|https):\/\/./.test(url)) throw unreadable(path, `"${url}" is no address`);
  return { url };
}

async function readJson(path: string, text: string): Promise<PluginAddress> {
  let value: { Addr?: unknown; TLSConfig?: Record<string, unknown> | null };
  try {
    value = JSON.parse(text) as typeof value;
  } catch {
    throw unreadable(path, "not JSON");
  }
  const address = readAddress(path, String(value.Addr ?? ""));
  const tls = value.TLSConfig;
  if (tls === undefined || tls === null) return address;
  const file = async (key: string) =>
    typeof tls[key] === "string" && tls[key] !== "" ? readFile(tls[key], "utf8") : undefined;
  const [ca, cert, key] = await Promise.all(["CAFile", "CertFile", "KeyFile"].map(file));
  const verify = ca !== undefined && tls["InsecureSkipVerify"] !== true;
  return { ...address, tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }), verify } };
}

const unreadable = (path: string, why: string) => new BerthError("INTERNAL", `plugin spec ${path}: ${why}`);
