import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./build.mjs";

/** Installs exactly what package-lock.json says, if node_modules is anything else. */
export async function ensureNpmPackages(root, say) {
  const stale = staleness(root);
  if (stale === undefined) return;
  say(`installing npm packages (${stale})`);
  const options = ["--no-audit", "--no-fund", "--loglevel=error"];
  if ((await run(["npm", "ci", ...options], { cwd: root, quiet: true })) === 0) return;
  // A mirror that keeps one platform's packages only makes a lock file that `npm ci` calls incomplete, for lack of those it
  // would never install. `npm install` takes the same versions from it.
  const status = await run(["npm", "install", "--no-save", ...options], { cwd: root });
  if (status !== 0) throw new Error(`npm install failed (exit code ${status})`);
}

/** Why node_modules is not what the lock file says, or undefined. npm keeps its own record of what it installed. */
function staleness(root) {
  const installedFile = join(root, "node_modules/.package-lock.json");
  if (!existsSync(installedFile)) return "none are there";
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const installed = JSON.parse(readFileSync(installedFile, "utf8")).packages;
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.startsWith("node_modules/") || entry.link) continue;
    // Optional ones are for other platforms, mostly; a missing one shows when it is used.
    if (installed[path] === undefined ? !entry.optional && !entry.peer : installed[path].version !== entry.version) {
      return `${path.slice("node_modules/".length)} is missing or of another version`;
    }
  }
  return undefined;
}
