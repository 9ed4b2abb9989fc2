import type { StartReport } from "./protocol.ts";

/** Starting monitors: native calls behind an interface, so that the domain says what it needs. */
export interface MonitorLauncher {
  /** A listening unix socket at `path` (a stale file there is replaced). Connections wait in it until a monitor takes them. */
  listen(path: string): Promise<number>;
  /** Runs a monitor for `bundle` with the listening socket; resolves with its report. The socket stays the caller's. */
  start(bundle: string, listenFd: number): Promise<StartReport>;
  /** Closes a descriptor got from listen(). */
  close(fd: number): void;
}
