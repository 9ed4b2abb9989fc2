import { errorMessage } from "@berth/errors";
import type { Peer, PeerStream } from "../http/hijack.ts";
import { DetachFilter } from "./detach.ts";
import { framedOutput } from "./frames.ts";
import { lingerThenClose, type MonitorAnswer, MonitorConnection, splice } from "./local.ts";
import type { Joined } from "./remote.ts";

export interface ConnectOptions {
  contentType: string;
  /** Without a terminal everything sent is in frames, errors too. */
  framed: boolean;
  /** How to word the monitor's refusal; an exec that can't run has Docker's text. */
  explain?: (answer: MonitorAnswer) => string;
  /** Keys that end the client's part of a terminal; undefined without one, or without input. */
  detachKeys: Buffer | undefined;
  /** The container's side is a terminal and sends no frames, but the client wants them. */
  wrap?: boolean;
  /** Sends the log up to where the monitor says that the stream begins; on another host the supervisor does it. */
  replay?: ((stream: PeerStream, end: { file: string; offset: number }) => Promise<void>) | undefined;
}

/**
 * Joins a client with the container's stream that a supervisor has opened. The client gets its `101` as soon as the
 * way to the stream stands, not when bytes come: docker run sends start only after it.
 */
export async function connectStream(peer: Peer, joined: Joined, options: ConnectOptions): Promise<void> {
  const accept = () => {
    const stream = peer.accept(options.contentType);
    return options.wrap === true ? framedOutput(stream) : stream;
  };
  // What is wrapped gets its frames further down.
  const framed = options.framed && options.wrap !== true;
  if ("remote" in joined) {
    const stream = accept();
    const { input, detached } = withDetach(stream, options.detachKeys);
    const pumped = joined.remote.pump(input, stream.output);
    // It broke half-way, which is not for those who count on what the container says.
    await Promise.race([pumped, detached]).catch((error: unknown) => tell(stream, error, framed, stderr));
    await close(stream);
    return;
  }
  const container = await MonitorConnection.open(joined.local, peer.signal);
  // Out before the request is: some clients lose what arrives together with the headers, and a program may be quick.
  const stream = accept();
  container.request(joined.local);
  const stop = () => container.socket.destroy();
  peer.signal.addEventListener("abort", stop, { once: true });
  if (peer.signal.aborted) stop();
  try {
    const answer = await container.answer();
    if (!answer.ok) {
      // An attach is refused when its container could not be started: whoever started it is told why.
      if (options.explain !== undefined) tell(stream, options.explain(answer), framed);
      await close(stream);
      return;
    }
    if (answer.log !== undefined) await options.replay?.(stream, answer.log);
    await spliceWithKeys(stream, container, options.detachKeys);
  } catch (error) {
    if (!peer.signal.aborted && options.explain !== undefined) tell(stream, error, framed);
    await close(stream);
  } finally {
    peer.signal.removeEventListener("abort", stop);
    container.socket.destroy();
  }
}

/** A stream of nothing but the reason why there is none: what Docker answers when an exec can't be started. */
export async function tellOnly(
  peer: Peer,
  error: unknown,
  options: { contentType: string; framed: boolean },
): Promise<void> {
  const stream = peer.accept(options.contentType);
  tell(stream, error, options.framed);
  await close(stream);
}

async function spliceWithKeys(
  stream: PeerStream,
  container: MonitorConnection,
  keys: Buffer | undefined,
): Promise<void> {
  if (keys === undefined && stream.socket !== undefined) {
    await splice(stream.socket, container);
    return;
  }
  const { input, detached } = withDetach(stream, keys);
  input.pipe(container.socket);
  await Promise.race([container.pumpTo(stream.output), detached]);
  input.unpipe();
  container.socket.destroy();
  await close(stream);
}

function withDetach(
  stream: PeerStream,
  keys: Buffer | undefined,
): { input: PeerStream["input"]; detached: Promise<void> } {
  if (keys === undefined) return { input: stream.input, detached: new Promise(() => {}) };
  const filter = new DetachFilter(keys);
  const detached = new Promise<void>((resolve) => filter.once("detach", resolve));
  stream.input.pipe(filter);
  return { input: filter, detached };
}

const stdout = 1;
const stderr = 2;

/** After the headers an error can only be text in the stream, as Docker does it: on stdout, in a frame of its own. */
function tell(stream: PeerStream, error: unknown, framed: boolean, channel = stdout): void {
  if (stream.output.destroyed) return;
  const text = Buffer.from(`${typeof error === "string" ? error : errorMessage(error)}\r\n`);
  if (framed) {
    const header = Buffer.alloc(8);
    header[0] = channel;
    header.writeUInt32BE(text.length, 4);
    stream.output.write(header);
  }
  stream.output.write(text);
}

async function close(stream: PeerStream): Promise<void> {
  if (stream.socket !== undefined) await lingerThenClose(stream.socket);
  else stream.output.end();
}
