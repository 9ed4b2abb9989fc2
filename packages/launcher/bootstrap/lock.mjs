import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Runs `work` while no other bootstrap of this checkout works; waits for one that does. */
export async function withLock(directory, work) {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, "bootstrap.pid");
  const own = `${path}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    while (!take(own, path)) await new Promise((done) => setTimeout(done, 200));
    try {
      return await work();
    } finally {
      rmSync(path, { force: true });
    }
  } finally {
    rmSync(own, { force: true });
  }
}

/** A link appears whole or not at all; the file of a dead process is taken away and tried again. */
function take(own, path) {
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
  }
  if (!isAlive(path)) rmSync(path, { force: true });
  return false;
}

function isAlive(path) {
  try {
    process.kill(Number(readFileSync(path, "utf8")), 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
