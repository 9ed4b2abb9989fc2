import { chmodSync, existsSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { BerthError } from "@berth/errors";

export interface UnixAddress {
  kind: "unix";
  path: string;
}

export interface TcpAddress {
  kind: "tcp";
  host: string;
  port: number;
}

/** "unix:/path" or "tcp:host:port" (IPv6 hosts in brackets). Throws INVALID_ARGUMENT. */
export function parseAddress(text: string): UnixAddress | TcpAddress {
  if (text.startsWith("unix:/")) return { kind: "unix", path: text.slice("unix:".length) };
  const tcp = /^tcp:(.+):(\d{1,5})$/.exec(text);
  if (tcp?.[1] !== undefined) return { kind: "tcp", host: tcp[1], port: Number(tcp[2]) };
  throw new BerthError("INVALID_ARGUMENT", `"${text}" is not an address, expected unix:/PATH or tcp:HOST:PORT`);
}

/** What grpc-js calls the same place. */
export function grpcTarget(address: UnixAddress | TcpAddress): string {
  return address.kind === "unix" ? `unix:${address.path}` : `${address.host}:${address.port}`;
}

/** Clears a socket that a dead process left. Throws IN_USE when a live one answers. */
export async function takeOverSocket(path: string): Promise<void> {
  if (!existsSync(path)) return;
  if (await answers(path)) throw new BerthError("IN_USE", `another process serves ${path}`);
  rmSync(path, { force: true });
}

/** The engine's insides are for root, whatever the umask: whoever reaches the supervisor is root. */
export function protectSocket(path: string): void {
  chmodSync(path, 0o600);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (result: boolean) => {
      socket.destroy();
      resolve(result);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}
