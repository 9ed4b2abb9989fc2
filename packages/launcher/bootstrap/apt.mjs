import { spawnSync } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { basename, join } from "node:path";
import { run } from "./build.mjs";

/**
 * Which lists a purpose reads, in every workspace: one package a line, # begins a comment. A path after the name says that
 * this program alone is taken, into .cache/bin: to install the package would start its daemon.
 */
const listOf = { start: "apt-packages.txt", test: "apt-packages.test.txt" };

/** Installs those of the listed Debian packages that are missing. On another system it only says what would be needed. */
export async function ensureAptPackages(root, purposes, say) {
  const lines = [...new Set(purposes.flatMap((purpose) => readLists(root, listOf[purpose])))].map((line) => {
    const [name, program] = line.split(/\s+/);
    return { name, program };
  });
  const installed = lines.filter(({ program }) => program === undefined).map(({ name }) => name);
  const missing = missingOf(installed);
  if (missing === undefined) {
    const names = lines.map(({ name }) => name).join(" ");
    say(`this is not Debian or alike; these packages of it, or your system's, are needed: ${names}`);
    return;
  }
  await install(missing, say);
  const bin = join(root, ".cache/bin");
  for (const { name, program } of lines)
    if (program !== undefined && !isThere(basename(program), bin)) await takeProgram(name, program, bin, say);
}

async function install(missing, say) {
  if (missing.length === 0) return;
  say(`installing Debian packages: ${missing.join(" ")}`);
  await apt(["install", "-y", "-q", "--no-install-recommends", ...missing]);
}

/** Unpacks one program of a package that is not installed. It appears whole or not at all. */
async function takeProgram(name, program, bin, say) {
  say(`taking ${basename(program)} from the Debian package ${name}`);
  mkdirSync(bin, { recursive: true });
  const work = mkdtempSync(join(bin, ".apt-"));
  try {
    await apt(["-o", "APT::Sandbox::User=root", "download", "-q", name], work);
    const archive = readdirSync(work).find((file) => file.endsWith(".deb"));
    if (archive === undefined) throw new Error(`apt-get download ${name} left no package`);
    const status = await run(["dpkg-deb", "-x", join(work, archive), join(work, "root")]);
    if (status !== 0) throw new Error(`dpkg-deb -x ${archive} failed (exit code ${status})`);
    renameSync(join(work, "root", program), join(bin, basename(program)));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** A fresh machine has no lists, an old one lists that no longer fit: then, and only then, they are fetched. */
async function apt(args, cwd) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  if ((await run(["apt-get", ...args], { cwd, env, quiet: true })) === 0) return;
  await run(["apt-get", "update", "-q"], { env, quiet: true });
  const status = await run(["apt-get", ...args], { cwd, env });
  if (status !== 0) throw new Error(`apt-get ${args.join(" ")} failed (exit code ${status})`);
}

function isThere(program, bin) {
  return [...(process.env.PATH ?? "").split(":"), bin].some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function readLists(root, name) {
  return ["packages", "services", "native"].flatMap((group) => {
    const directory = join(root, group);
    if (!existsSync(directory)) return [];
    return readdirSync(directory).flatMap((workspace) => readList(join(directory, workspace, name)));
  });
}

function readList(path) {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => line !== "");
}

/** Undefined where there is no dpkg. */
function missingOf(packages) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: placeholders of dpkg-query, not of JavaScript
  const format = "${Package} ${db:Status-Status}\n";
  const { status, stdout, error } = spawnSync("dpkg-query", ["-W", "-f", format, ...packages], {
    encoding: "utf8",
  });
  if (error || status === null) return undefined;
  const installed = new Set(
    stdout
      .split("\n")
      .filter((line) => line.endsWith(" installed"))
      .map((line) => line.split(" ")[0]),
  );
  return packages.filter((name) => !installed.has(name));
}
