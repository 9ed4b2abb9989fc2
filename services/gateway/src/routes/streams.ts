import { BerthError } from "@berth/errors";
import type { Containers } from "../domain/containers.ts";
import { startStream } from "../http/answer.ts";
import type { Call, HijackCall } from "../http/call.ts";
import type { PeerStream } from "../http/hijack.ts";
import type { Query } from "../http/query.ts";
import type { Api } from "../http/server.ts";
import type { Supervisor } from "../rpc/types.ts";
import { parseUnixTime } from "../shapes/time.ts";
import { connectStream } from "../streams/connect.ts";
import { parseDetachKeys } from "../streams/detach.ts";
import { join, write } from "../streams/remote.ts";

export const rawStream = "application/vnd.docker.raw-stream";
export const framedStream = "application/vnd.docker.multiplexed-stream";

/** Framed output has a content type of its own since API 1.42; before, both kinds were called raw. */
export function streamType(tty: boolean, minor: number): string {
  return !tty && minor >= 42 ? framedStream : rawStream;
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
  api.on("GET", "/containers/{name}/logs", (call) => logs(call, containers));
  api.on("GET", "/containers/{name}/attach/ws", () => {
    throw new BerthError("NOT_IMPLEMENTED", "attaching by websocket is not supported by this engine");
  });
}

async function attach({ peer, query, name, minor }: HijackCall, containers: Containers, hostId: string): Promise<void> {
  const keys = parseDetachKeys(query.text("detachKeys"));
  const wanted = { stdin: query.flag("stdin"), stdout: query.flag("stdout"), stderr: query.flag("stderr") };
  const supervisor = await containers.supervisorOf(name, peer.signal);
  const { tty, openStdin } = await containers.terminal(name, peer.signal);
  await skipBody(peer);
  // Without an upgrade Docker names every stream raw.
  const contentType = peer.headers["upgrade"] === undefined ? rawStream : streamType(tty, minor);
  const replay = query.flag("logs")
    ? (stream: PeerStream) => replayLogs(supervisor, name, wanted, stream, peer.signal)
    : undefined;
  if (!query.flag("stream")) {
    const stream = peer.accept(contentType);
    await replay?.(stream);
    stream.output.end();
    return;
  }
  const start = { container: name, ...wanted, stdin: wanted.stdin && openStdin, hostId };
  const joined = await join((requests, options) => supervisor.attach(requests, options), start, peer.signal);
  await connectStream(peer, joined, {
    contentType,
    framed: !tty,
    detachKeys: tty && wanted.stdin ? keys : undefined,
    ...(replay === undefined ? {} : { before: replay }),
  });
}

/** Some clients repeat the query as a JSON body of announced length. It is not the first of the container's input. */
async function skipBody(peer: HijackCall["peer"]): Promise<void> {
  if (peer.headers["upgrade"] !== undefined && Number(peer.headers["content-length"] ?? 0) > 0) await peer.body();
}

async function replayLogs(
  supervisor: Supervisor,
  container: string,
  wanted: { stdout: boolean; stderr: boolean },
  stream: PeerStream,
  signal: AbortSignal,
): Promise<void> {
  const request = { container, stdout: wanted.stdout, stderr: wanted.stderr };
  for await (const { data } of supervisor.logs(request, { signal })) await write(stream.output, data);
}

async function logs({ name, query, res, minor, signal }: Call, containers: Containers): Promise<void> {
  const stdout = query.flag("stdout");
  const stderr = query.flag("stderr");
  if (!stdout && !stderr) {
    throw new BerthError("INVALID_ARGUMENT", "Bad parameters: you must choose at least one stream");
  }
  const supervisor = await containers.supervisorOf(name, signal);
  const { tty } = await containers.terminal(name, signal);
  const tail = tailOf(query.text("tail"));
  const request = {
    container: name,
    stdout,
    stderr,
    since: moment(query, "since"),
    until: moment(query, "until"),
    timestamps: query.flag("timestamps"),
    follow: query.flag("follow"),
    details: query.flag("details"),
    ...(tail === undefined ? {} : { tail }),
  };
  const answers = supervisor.logs(request, { signal })[Symbol.asyncIterator]();
  // The first answer decides: an error before it has a status of its own. A log being followed may stay silent for
  // long, and its reader waits for the headers.
  const first = answers.next();
  const early = request.follow ? await Promise.race([first, pause(20)]) : await first;
  startStream(res, streamType(tty, minor));
  for (let answer = early ?? (await first); answer.done !== true; answer = await answers.next()) {
    await write(res, answer.value.data);
  }
  res.end();
}

function pause(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
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
