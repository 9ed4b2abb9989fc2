import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./build.mjs";

/** Which lists a purpose reads, in every workspace: one package a line, # begins a comment. */
const listOf = { start: "apt-packages.txt", test: "apt-packages.test.txt" };

/** Installs those of the listed Debian packages that are missing. On another system it only says what would be needed. */
export async function ensureAptPackages(root, purposes, say) {
  const wanted = new Set(purposes.flatMap((purpose) => readLists(root, listOf[purpose])));
  const missing = missingOf([...wanted]);
  if (missing === undefined) {
    say(`this is not Debian or alike; these packages of it, or your system's, are needed: ${[...wanted].join(" ")}`);
    return;
  }
  if (missing.length === 0) return;
  say(`installing Debian packages: ${missing.join(" ")}`);
  const install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", ...missing];
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  // A fresh machine has no lists, an old one lists that no longer fit: then, and only then, fetch them.
  if ((await run(install, { env, quiet: true })) === 0) return;
  await run(["apt-get", "update", "-q"], { env, quiet: true });
  const status = await run(install, { env });
  if (status !== 0) throw new Error(`apt-get install ${missing.join(" ")} failed (exit code ${status})`);
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
