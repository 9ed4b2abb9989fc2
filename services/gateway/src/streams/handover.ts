import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

type Addon = Pick<typeof import("@berth/isolation"), "handOver">;

let loading: Promise<Addon | undefined> | undefined;

/**
 * What gives a client's connection to another process. Loaded by the first that asks, because it takes memory that a gateway may never need;
 * undefined where it is not built, and then the bytes go through here.
 */
function addon(): Promise<Addon | undefined> {
  loading ??= import("@berth/isolation").catch(() => undefined);
  return loading;
}

/** The connection's descriptor; -1 for one whose bytes are not the client's own (TLS), and for one that has ended. */
function descriptorOf(socket: Socket): number {
  if (socket instanceof TLSSocket || socket.destroyed) return -1;
  return handleOf(socket)?.fd ?? -1;
}

/** Node has no other way to a connection's descriptor, or to stop reading at once; the version that we run is pinned. */
function handleOf(socket: Socket): Handle | undefined {
  return (socket as unknown as { _handle?: Handle | null })._handle ?? undefined;
}

interface Handle {
  fd?: number;
  reading: boolean;
  readStop(): void;
  readStart(): void;
}

/** Whether a node's supervisor may write the body of this answer: it is on our host, and Node sends it in chunks and ends it afterwards. */
export async function canHandOver(
  { req, res }: { req: IncomingMessage; res: ServerResponse },
  { sameHost }: { sameHost: boolean },
): Promise<boolean> {
  if (!sameHost || req.httpVersion !== "1.1" || res.socket === null || descriptorOf(res.socket) < 0) return false;
  return (await addon()) !== undefined;
}

/**
 * Lets whoever listens at the inbox write the body of an answer whose head is there; nothing may be written to it before they say that
 * they are done.
 */
export async function handOverAnswer(inbox: string, res: ServerResponse): Promise<void> {
  res.flushHeaders();
  const { socket } = res;
  if (socket === null) return;
  // The head has to be out before anything that the other one writes.
  if (socket.writableLength > 0) await new Promise<void>((resolve) => socket.write("", () => resolve()));
  await give(inbox, socket, Buffer.from("c"));
}

/** Lets whoever listens at the inbox read the rest of a request's body. `head` says how it is framed, and what has been read of it. */
export const handOverRequest = (inbox: string, socket: Socket, head: Buffer): Promise<void> =>
  give(inbox, socket, head);

async function give(inbox: string, socket: Socket, head: Buffer): Promise<void> {
  const isolation = await addon();
  const fd = descriptorOf(socket);
  // Its end is noticed by others.
  if (isolation === undefined || fd < 0) return;
  await isolation.handOver(inbox, fd, head);
}

/** Makes a connection stand still from this moment on. Gives what has been read of it. */
export function stopReading(socket: Socket): Buffer {
  const read = socket.readableLength > 0 ? (socket.read() as Buffer) : Buffer.alloc(0);
  const handle = handleOf(socket);
  if (handle !== undefined) {
    handle.reading = false;
    handle.readStop();
  }
  return read;
}

/** The opposite: the stream itself believes that it has never stopped. */
export function readOn(socket: Socket): void {
  const handle = handleOf(socket);
  if (handle === undefined || handle.reading) return;
  handle.reading = true;
  handle.readStart();
}

/** Whether connections can be given away at all. */
export const handoverIsThere = async (): Promise<boolean> => (await addon()) !== undefined;

/** Whether it is the client's own connection that this socket stands for. */
export const isPlain = (socket: Socket): boolean => descriptorOf(socket) >= 0;
