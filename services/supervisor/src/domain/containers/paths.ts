import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Paths } from "./parts.ts";

/** `stateDir` is on disk and outlives a boot, `runDir` need not. */
export function makePaths(stateDir: string, runDir: string): Paths {
  const bundles = join(runDir, "containers");
  const containers = join(stateDir, "containers");
  const volumes = join(stateDir, "volumes");
  // Half the id and a short directory: a socket's path has room for 107 bytes (unix(7)).
  const sockets = join(runDir, "m");
  return {
    stateDir,
    bundles,
    bundle: (id) => join(bundles, id),
    sockets,
    view: join(runDir, "view"),
    socket: (id) => join(sockets, id.slice(0, 32)),
    inbox: () => join(sockets, `in-${randomBytes(16).toString("hex")}`),
    containers,
    container: (id) => join(containers, id),
    log: (id) => join(containers, id, `${id}-json.log`),
    compactLog: (id) => join(containers, id, "container.log"),
    exitFile: (id) => join(containers, id, "exit.json"),
    volumes,
    volume: (volumeId) => join(volumes, volumeId, "_data"),
  };
}
