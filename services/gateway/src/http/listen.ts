import { chmod, chown, lstat, unlink } from "node:fs/promises";
import type { Server } from "node:http";
import { connect } from "node:net";
import { BerthError } from "@berth/errors";
import type { Address } from "../config.ts";

/**
 * Listens. A unix socket is left readable and writable for its owner and group alone: whoever opens it is root.
 * A file left behind by a gateway that was killed is replaced; one that answers is not.
 */
export async function listen(server: Server, address: Address, group: number | undefined): Promise<void> {
  if (address.kind === "tcp") {
    await bind(server, { host: address.host, port: address.port });
    return;
  }
  await removeStale(address.path);
  // The mask counts between bind and chmod; nothing else is created in this moment that it could harm.
  const mask = process.umask(0o117);
  const bound = bind(server, { path: address.path });
  process.umask(mask);
  await bound;
  await chmod(address.path, 0o660);
  if (group !== undefined) await chown(address.path, -1, group);
}

/** Connections that may wait to be taken: to a unix socket, one more fails at once instead of waiting (connect(2)). */
const backlog = 4_096;

function bind(server: Server, options: { path: string } | { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...options, backlog }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function removeStale(path: string): Promise<void> {
  const stat = await lstat(path).catch(() => undefined);
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new BerthError("INVALID_ARGUMENT", `${path} is there and is not a socket`);
  const isLive = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.on("error", () => resolve(false));
  });
  if (isLive) throw new BerthError("ALREADY_EXISTS", `another engine is serving at ${path}`);
  await unlink(path).catch(() => {});
}
