import { BerthError } from "@berth/errors";
import type { Containers } from "../domain/containers.ts";
import { readLog } from "../domain/log-stream.ts";
import { startStream } from "../http/answer.ts";
import type { Call, HijackCall } from "../http/call.ts";
import type { PeerStream } from "../http/hijack.ts";
import type { Query } from "../http/query.ts";
import type { Api } from "../http/server.ts";
import type { LogsResponse, Supervisor } from "../rpc/types.ts";
import { parseUnixTime } from "../shapes/time.ts";
import { connectStream } from "../streams/connect.ts";
import { parseDetachKeys } from "../streams/detach.ts";
import { canHandOver, handOverAnswer } from "../streams/handover.ts";
import { join, local, write } from "../streams/remote.ts";

export const rawStream = "application/vnd.docker.raw-stream";
const framedStream = "application/vnd.docker.multiplexed-stream";

/** The API version from which on it does. */
const namesFrames = 42;

/** Framed output has a content type of its own since API 1.42; before, both kinds were called raw. */
export function streamType(tty: boolean, minor: number): string {
  return !tty && minor >= namesFrames ? framedStream : rawStream;
}

/** Engine API: attach and logs. */
export function streamRoutes(api: Api, containers: Containers, hostId: string): void {
  api.onHijack("/containers/{name}/attach", async (call) => {
    try {
      await attach(call, containers, hostId);
    } catch (error) {
      if (call.peer.accepted) throw error;
      call.peer.refuse(error, true);
    }
  });
  api.on("GET", "/containers/{name}/logs", (call) => logs(call, containers, hostId));
  // Its peer takes the frames off, so they are named whatever the version.
  api.onWebSocket("/containers/{name}/attach/ws", (call) =>
    attach({ ...call, minor: namesFrames }, containers, hostId),
  );
  api.on("GET", "/containers/{name}/attach/ws", async ({ name, signal }) => {
    await containers.terminal(name, signal);
    throw new BerthError("INVALID_ARGUMENT", "not websocket protocol");
  });
}

async function attach({ peer, query, name, minor }: HijackCall, containers: Containers, hostId: string): Promise<void> {
  const keys = parseDetachKeys(query.text("detachKeys"));
  const wanted = { stdin: query.flag("stdin"), stdout: query.flag("stdout"), stderr: query.flag("stderr") };
  const { supervisor, sameHost } = await containers.nodes.of(name, peer.signal);
  const { tty, openStdin } = await containers.terminal(name, peer.signal);
  await skipBody(peer);
  // Without an upgrade Docker names every stream raw.
  const contentType = peer.headers["upgrade"] === undefined ? rawStream : streamType(tty, minor);
  const replay = query.flag("logs");
  if (!query.flag("stream")) {
    const stream = peer.accept(contentType);
    if (replay) await replayLogs(supervisor, { container: name, ...wanted }, stream, peer.signal);
    stream.output.end();
    return;
  }
  const start = { container: name, ...wanted, stdin: wanted.stdin && openStdin, replay };
  const joined = sameHost
    ? local(await supervisor.openAttach({ ...start, hostId }, { signal: peer.signal }))
    : await join((requests, options) => supervisor.attach(requests, options), start, peer.signal);
  await connectStream(peer, joined, {
    contentType,
    framed: !tty,
    detachKeys: tty && wanted.stdin ? keys : undefined,
    replay: (stream, { file, offset }) =>
      replayLogs(supervisor, { container: name, ...wanted, endFile: file, endOffset: offset }, stream, peer.signal),
  });
}

/** Some clients repeat the query as a JSON body of announced length. It is not the first of the container's input. */
async function skipBody(peer: HijackCall["peer"]): Promise<void> {
  if (peer.headers["upgrade"] !== undefined && Number(peer.headers["content-length"] ?? 0) > 0) await peer.body();
}

interface Replay {
  container: string;
  stdout: boolean;
  stderr: boolean;
  endFile?: string;
  endOffset?: number;
}

async function replayLogs(
  supervisor: Supervisor,
  { container, stdout, stderr, endFile = "", endOffset = 0 }: Replay,
  stream: PeerStream,
  signal: AbortSignal,
): Promise<void> {
  const request = { container, stdout, stderr, endFile, endOffset };
  for await (const { data } of supervisor.logs(request, { signal })) await write(stream.output, data);
}

async function logs(call: Call, containers: Containers, own: string): Promise<void> {
  const { name, query, res, minor, signal } = call;
  const stdout = query.flag("stdout");
  const stderr = query.flag("stderr");
  if (!stdout && !stderr) {
    throw new BerthError("INVALID_ARGUMENT", "Bad parameters: you must choose at least one stream");
  }
  // By its id: a name may come to mean another container while this one's log is followed.
  const { id, tty } = await containers.terminal(name, signal);
  const tail = tailOf(query.text("tail"));
  const request = {
    container: id,
    stdout,
    stderr,
    since: moment(query, "since"),
    until: moment(query, "until"),
    timestamps: query.flag("timestamps"),
    follow: query.flag("follow"),
    details: query.flag("details"),
    ...(tail === undefined ? {} : { tail }),
  };
  const node = await containers.nodes.of(id, signal);
  if (!request.follow && (await canHandOver(call, node))) {
    await passLog(call, node.supervisor.logs({ ...request, hostId: own }, { signal }), streamType(tty, minor));
    return;
  }
  const pieces = readLog(() => containers.supervisorOf(id, signal), request, signal);
  // The first one decides: an error before it has a status of its own.
  const first = await pieces.next();
  startStream(res, streamType(tty, minor));
  if (first.done !== true) await write(res, first.value);
  for await (const data of pieces) await write(res, data);
  res.end();
}

/** A log as it is now, which a supervisor on our host writes to the client's connection itself. */
async function passLog({ res }: Call, answers: AsyncIterable<LogsResponse>, contentType: string): Promise<void> {
  for await (const { data, handover } of answers) {
    if (!res.headersSent) startStream(res, contentType);
    if (handover !== undefined) await handOverAnswer(handover.socket, res);
    else await write(res, data);
  }
  if (!res.headersSent) startStream(res, contentType);
  res.end();
}

/** Lines from the end; Docker takes anything that is not a number for "all". */
function tailOf(text: string): number | undefined {
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
}

function moment(query: Query, key: string): { seconds: number; nanos: number } | undefined {
  const text = query.text(key);
  if (text === "" || text === "0") return undefined;
  const time = parseUnixTime(text);
  if (time === undefined) {
    throw new BerthError("INVALID_ARGUMENT", `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  return time;
}
