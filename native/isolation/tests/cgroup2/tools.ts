// A disk for the machine with Node, other OCI runtimes, the libraries of all of them, and test programs as one file each.

import { execFile } from "node:child_process";
import { copyFile, mkdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";

const run = promisify(execFile);

/** Absolute paths of the libraries that a program or library is linked with, its loader included. */
async function librariesOf(file: string): Promise<string[]> {
  const { stdout } = await run("ldd", [file]).catch(() => ({ stdout: "" }));
  return [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1] ?? "");
}

async function copyTo(folder: string, from: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await copyFile(from, join(folder, basename(from)));
}

/** The path of a program on PATH. */
async function find(name: string): Promise<string> {
  const { stdout } = await run("sh", ["-c", 'command -v "$1"', "sh", name]).catch(() => {
    throw new Error(`no ${name} on PATH: this lane needs the Debian package of it`);
  });
  return stdout.trim();
}

/**
 * Fills `folder` for a disk that is mounted at /tools: bin, lib and lib64 as a machine's own, and `programs` (paths of TypeScript files) as
 * NAME.mjs for `node`, which find the native addon in BERTH_ISOLATION_ADDON.
 */
export async function makeTools(folder: string, addon: string, programs: readonly string[]): Promise<void> {
  const files = [process.execPath, await find("runc"), await find("crun")];
  for (const file of files) await copyTo(join(folder, "bin"), file);
  await copyTo(folder, addon);
  const libraries = new Set((await Promise.all([...files, addon].map(librariesOf))).flat());
  // Debian has /lib for /usr/lib, and each library is looked for in one folder.
  for (const library of libraries) {
    const isLoader = dirname(library) === "/lib64";
    await copyTo(join(folder, isLoader ? "lib64" : "lib/x86_64-linux-gnu"), library);
  }
  await build({
    entryPoints: programs.map((path) => ({ in: path, out: basename(path, ".ts") })),
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    external: ["*.node"],
    banner: {
      js: 'import { createRequire as makeRequire } from "node:module";\nconst require = makeRequire(import.meta.url);',
    },
    logLevel: "warning",
  });
}
