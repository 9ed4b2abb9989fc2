// The lane's tools, taken from Debian packages into a cache folder: nothing is installed on the machine.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

const ENVIRONMENT = { ...process.env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" };
/** Indexes on a slow mirror take a while; nobody waits longer. */
const APT_TIMEOUT_MS = 300_000;

export interface Tools {
  /** The emulator and what it needs to start, as argv and environment. */
  readonly qemu: { readonly command: string; readonly args: readonly string[]; readonly env: NodeJS.ProcessEnv };
  readonly kernel: string;
  /** Folder of the kernel's modules, `kernel/fs/overlayfs/overlay.ko` below it. */
  readonly modules: string;
  readonly busybox: string;
}

async function output(command: string, args: readonly string[], cwd?: string): Promise<string> {
  const options = {
    env: ENVIRONMENT,
    timeout: APT_TIMEOUT_MS,
    maxBuffer: 64 << 20,
    ...(cwd === undefined ? {} : { cwd }),
  };
  const { stdout } = await run(command, [...args], options);
  return stdout;
}

/** Names of the packages that an installation of `name` would add to this machine. */
async function closure(name: string): Promise<string[]> {
  const plan = await output("apt-get", ["install", "-s", "--no-install-recommends", name]);
  return [...plan.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] ?? "");
}

async function kernelPackage(): Promise<string> {
  const text = await output("apt-cache", ["depends", "linux-image-cloud-amd64"]);
  const name = /Depends: (linux-image-\S+-cloud-amd64)$/m.exec(text)?.[1];
  if (name === undefined) throw new Error("apt knows no linux-image-cloud-amd64");
  return name;
}

async function fetchInto(folder: string, names: readonly string[]): Promise<string[]> {
  const debs = join(folder, "debs");
  await mkdir(debs, { recursive: true });
  await output("apt-get", ["download", "-q", ...names], debs);
  return (await readdir(debs)).map((file) => join(debs, file));
}

/** Unpacks everything into `folder`/root. Only complete folders ever get the name that they are looked for by. */
async function build(folder: string): Promise<void> {
  const work = await mkdtemp(`${folder}.`);
  try {
    const root = join(work, "root");
    const names = [await kernelPackage(), "busybox-static"];
    if (!existsSync("/usr/bin/qemu-system-x86_64")) names.push(...(await closure("qemu-system-x86")));
    for (const deb of await fetchInto(work, names)) await output("dpkg-deb", ["-x", deb, root]);
    await rm(join(work, "debs"), { recursive: true });
    await writeFile(join(work, "packages.txt"), `${names.join("\n")}\n`);
    await rename(work, folder).catch(async (error: NodeJS.ErrnoException) => {
      // Another run was quicker.
      if (!existsSync(join(folder, "packages.txt"))) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function only(folder: string, pattern: RegExp): Promise<string> {
  const name = (await readdir(folder)).find((file) => pattern.test(file));
  if (name === undefined) throw new Error(`${folder} holds nothing like ${pattern.source}`);
  return join(folder, name);
}

function emulator(root: string): Tools["qemu"] {
  const installed = "/usr/bin/qemu-system-x86_64";
  if (existsSync(installed)) return { command: installed, args: [], env: process.env };
  const library = join(root, "usr/lib/x86_64-linux-gnu");
  // /usr/lib/ipxe is needed even without a network card: the machine looks for its option ROMs.
  const data = ["usr/share/seabios", "usr/share/qemu", "usr/lib/ipxe/qemu"].flatMap((path) => ["-L", join(root, path)]);
  return {
    command: join(root, "usr/bin/qemu-system-x86_64"),
    args: data,
    env: {
      ...process.env,
      LD_LIBRARY_PATH: `${library}:${join(root, "lib/x86_64-linux-gnu")}`,
      QEMU_MODULE_DIR: join(library, "qemu"),
    },
  };
}

/** Makes the tools ready below `cache`; the first time fetches about 45 MB through apt. Throws if apt cannot. */
export async function prepareTools(cache: string): Promise<Tools> {
  const folder = join(cache, "cgroup2");
  if (!existsSync(join(folder, "packages.txt"))) {
    await mkdir(cache, { recursive: true });
    try {
      await build(folder);
    } catch {
      // A fresh machine has no package index, an old one the wrong.
      await output("apt-get", ["update", "-q"]);
      await build(folder);
    }
  }
  const root = join(folder, "root");
  const kernel = await only(join(root, "boot"), /^vmlinuz-/);
  return {
    qemu: emulator(root),
    kernel,
    modules: await only(join(root, "lib/modules"), /-cloud-amd64$/),
    busybox: join(root, "bin/busybox"),
  };
}
