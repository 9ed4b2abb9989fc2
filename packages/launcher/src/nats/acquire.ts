import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { BerthError, errorMessage } from "@berth/errors";

const run = promisify(execFile);

/** `sync_interval: always` came with 2.10: without it an acknowledged event may be lost by a power cut. */
const leastVersion = [2, 10] as const;
/** Newer than the oldest Debian we run on, stable before unstable. */
const suites = ["trixie", "sid"] as const;
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
const aptTimeoutMs = 180_000;

/** The project's cache: what was fetched once for this checkout. */
export const defaultCacheDir = resolve(fileURLToPath(import.meta.url), "../../../../../.cache");

/**
 * The path of a nats-server of 2.10 or newer: one on PATH, else the one in the cache, else Debian's package of a newer
 * suite, fetched into the cache through the machine's own mirror. Throws UNAVAILABLE telling what was tried.
 */
export async function acquireNatsServer(
  cacheDir = defaultCacheDir,
  say: (line: string) => void = () => {},
): Promise<string> {
  const cached = join(cacheDir, "nats-server", "nats-server");
  for (const candidate of ["nats-server", cached]) {
    if (candidate !== "nats-server" && !existsSync(candidate)) continue;
    if (await isNewEnough(candidate)) return candidate;
  }
  const failures: string[] = [];
  for (const suite of suites) {
    try {
      say(`fetching nats-server from Debian ${suite}`);
      await fetchFromDebian(suite, cached);
      if (await isNewEnough(cached)) return cached;
      failures.push(`${suite}: does not run here, or is older than ${leastVersion.join(".")}`);
    } catch (error) {
      failures.push(`${suite}: ${lastLine(errorMessage(error))}`);
    }
  }
  throw new BerthError(
    "UNAVAILABLE",
    `no nats-server ${leastVersion.join(".")} or newer: none on PATH, and Debian's packages could not be had (${failures.join("; ")}). ` +
      "Install one, or set BERTH_NATS_URL to a server that runs.",
  );
}

async function isNewEnough(binary: string): Promise<boolean> {
  try {
    const { stdout } = await run(binary, ["--version"], { timeout: 10_000 });
    const [major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(stdout) ?? []).slice(1).map(Number);
    return major > leastVersion[0] || (major === leastVersion[0] && minor >= leastVersion[1]);
  } catch {
    return false;
  }
}

/** apt with directories and sources of its own: the machine's package state is neither read for it nor changed. */
async function fetchFromDebian(suite: string, target: string): Promise<void> {
  const directory = resolve(target, "..");
  await mkdir(directory, { recursive: true });
  const work = await mkdtemp(join(directory, "apt-"));
  try {
    for (const path of ["state/lists/partial", "cache/archives/partial", "unpacked"]) {
      await mkdir(join(work, path), { recursive: true });
    }
    const sources = join(work, "sources.list");
    await writeFile(sources, `deb [signed-by=${keyring}] ${await debianMirror()} ${suite} main\n`);
    const options = aptOptions(work, sources);
    await run("apt-get", [...options, "update"], { timeout: aptTimeoutMs });
    await run("apt-get", [...options, "download", "nats-server"], { cwd: work, timeout: aptTimeoutMs });
    const archive = (await readdir(work)).find((name) => name.endsWith(".deb"));
    if (archive === undefined) throw new Error("apt-get download left no package");
    await run("dpkg-deb", ["-x", join(work, archive), join(work, "unpacked")], { timeout: 60_000 });
    const binary = join(work, "unpacked/usr/sbin/nats-server");
    await chmod(binary, 0o755);
    await rename(binary, target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function aptOptions(work: string, sources: string): string[] {
  const settings = [
    `Dir::Etc::sourcelist=${sources}`,
    "Dir::Etc::sourceparts=/dev/null",
    `Dir::State=${work}/state`,
    "Dir::State::status=/dev/null",
    `Dir::Cache=${work}/cache`,
    "Acquire::Languages=none",
    "Acquire::Retries=2",
    // The unprivileged user of apt's downloads cannot write to a directory of ours.
    "APT::Sandbox::User=root",
  ];
  return ["-q", ...settings.flatMap((setting) => ["-o", setting])];
}

/** The mirror that this machine takes Debian's main archive from, so that its proxies and firewalls are content. */
async function debianMirror(): Promise<string> {
  const { stdout } = await run("apt-get", ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"], {
    timeout: 10_000,
  });
  const mirror = stdout
    .split("\n")
    .map((uri) => uri.trim().replace(/\/$/, ""))
    .find((uri) => uri.endsWith("/debian"));
  if (mirror === undefined) throw new BerthError("UNAVAILABLE", "apt knows no Debian mirror");
  return mirror;
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? text;
}
