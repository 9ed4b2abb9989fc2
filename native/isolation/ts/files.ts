/** Files and sockets: what node:fs has no call for. Descriptors are plain numbers, close-on-exec, closed with node:fs closeSync. */
import { constants } from "node:fs";
import { native } from "./native.ts";

export type FileSystemStatus = Awaited<ReturnType<typeof native.statfs>>;

/** statfs(2); blocks are of `blockSize` bytes. */
export const statfs = (path: string): Promise<FileSystemStatus> => native.statfs(path);

/** Resolves when all that was written to the file system of `path` is on the medium. */
export const syncfs = (path: string): Promise<void> => native.syncfs(path);

/** Opens `path` as if `root` were "/": no link, ".." or absolute target leads out (openat2, RESOLVE_IN_ROOT). */
export const openInRoot = (
  root: string,
  path: string,
  flags: number = constants.O_RDONLY,
  mode = 0o600,
): Promise<number> => native.openInRoot(root, path, flags, mode);

/** Copies every extended attribute; those the target's file system cannot hold are left out. Links are not followed. */
export const copyXattrs = (from: string, to: string): Promise<void> => native.copyXattrs(from, to);

/** An extended attribute's value, null if there is none of that name. Links are not followed. */
export const getXattr = (path: string, name: string): Promise<Buffer | null> => native.getXattr(path, name);

/** [read end, write end] */
export const pipe = (): [number, number] => native.pipe();

/** A unix stream socket at `path`, listening; nothing accepts yet, clients may connect and send. Throws EADDRINUSE if it exists. */
export const listenUnix = (path: string, mode = 0o600, backlog = 1024): number =>
  native.listenUnix(path, mode, backlog);

/**
 * Sends each message as a datagram to the unix socket at `path`, in order. With `large`, a message that is too long for a datagram
 * goes as a sealed memfd (journald's protocol). A receiver that takes nothing for 5 s: EAGAIN.
 */
export const sendDatagrams = (path: string, messages: readonly Buffer[], large: boolean): Promise<void> =>
  native.sendDatagrams(path, messages, large);
