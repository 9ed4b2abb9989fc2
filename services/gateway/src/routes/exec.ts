import { BerthError, execFailureText, isBerthError } from "@berth/errors";
import type { Containers } from "../domain/containers.ts";
import type { Node } from "../domain/nodes/nodes.ts";
import { sendEmpty, sendJson } from "../http/answer.ts";
import { decodeBody, readJson } from "../http/body.ts";
import type { HijackCall } from "../http/call.ts";
import type { Peer } from "../http/hijack.ts";
import type { Api } from "../http/server.ts";
import { flag, int64, list, struct, text } from "../json/decode.ts";
import type { InspectExecResponse } from "../rpc/types.ts";
import { connectStream, tellOnly } from "../streams/connect.ts";
import { parseDetachKeys } from "../streams/detach.ts";
import { type Joined, join, local } from "../streams/remote.ts";
import { windowSize } from "./containers.ts";
import { rawStream, streamType } from "./streams.ts";

const createBody = struct("container.ExecOptions", {
  User: text,
  Privileged: flag,
  Tty: flag,
  ConsoleSize: list(int64),
  AttachStdin: flag,
  AttachStderr: flag,
  AttachStdout: flag,
  DetachKeys: text,
  Env: list(text),
  WorkingDir: text,
  Cmd: list(text),
});

const startBody = struct("container.ExecStartOptions", { Detach: flag, Tty: flag, ConsoleSize: list(int64) });

/** Engine API, "Exec". */
export function execRoutes(api: Api, containers: Containers, hostId: string): void {
  api.on("POST", "/containers/{name}/exec", async ({ name, req, res }) => {
    const body = await readJson(req, createBody);
    if ((body.Cmd ?? []).length === 0) throw new BerthError("INVALID_ARGUMENT", "No exec command specified");
    parseDetachKeys(body.DetachKeys ?? "");
    const node = await containers.nodes.of(name);
    const { id } = await node.supervisor.createExec({
      container: name,
      cmd: body.Cmd ?? [],
      env: body.Env ?? [],
      user: body.User ?? "",
      workingDir: body.WorkingDir ?? "",
      tty: body.Tty ?? false,
      privileged: body.Privileged ?? false,
      attachStdin: body.AttachStdin ?? false,
      attachStdout: body.AttachStdout ?? false,
      attachStderr: body.AttachStderr ?? false,
      detachKeys: body.DetachKeys ?? "",
      consoleSize: consoleSize(body.ConsoleSize),
    });
    containers.nodes.remember(id, node.nodeId);
    sendJson(res, 201, { Id: id });
  });
  api.on("GET", "/exec/{name}/json", async ({ name, res, signal }) => {
    const node = await containers.nodes.ofExec(name, signal);
    sendJson(res, 200, execJson(await node.supervisor.inspectExec({ exec: name }, { signal })));
  });
  api.on("POST", "/exec/{name}/resize", async ({ name, query, res }) => {
    const size = windowSize(query.text("h"), query.text("w"));
    const node = await containers.nodes.ofExec(name);
    await node.supervisor.resize({ container: "", exec: name, ...size });
    sendEmpty(res, 200);
  });
  api.onHijack("/exec/{name}/start", (call) => start(call, containers, hostId));
}

async function start({ peer, name, minor }: HijackCall, containers: Containers, hostId: string): Promise<void> {
  const raw = await peer.body();
  const body = raw.length === 0 ? undefined : decodeBody(peer, raw, startBody);
  const detach = body?.Detach ?? false;
  const tty = body?.Tty ?? false;
  const node = await containers.nodes.ofExec(name, peer.signal);
  const form = {
    contentType: peer.headers["upgrade"] === undefined ? rawStream : streamType(tty, minor),
    framed: !tty,
  };
  const begun = { exec: name, detach, tty, consoleSize: consoleSize(body?.ConsoleSize) };
  const joined = await joinExec(node, begun, hostId, peer).catch((error: unknown) => {
    if (detach || !isBerthError(error) || error.reason !== "START_FAILED") throw error;
    return error;
  });
  if (isBerthError(joined)) return tellOnly(peer, joined, form);
  if (detach) {
    if ("remote" in joined) await joined.remote.finish();
    peer.finish();
    return;
  }
  // Keys are only looked for where there is a terminal to type them on; the supervisor knows the exec's own.
  const { detachKeys } = tty ? await node.supervisor.inspectExec({ exec: name }) : { detachKeys: "" };
  await connectStream(peer, joined, {
    ...form,
    // How the client wants it is said at the start, whatever the exec was created with.
    wrap: !tty && (await isTerminal(joined, () => node.supervisor.inspectExec({ exec: name }))),
    explain: ({ exitCode, error }) => execFailureText(processOf(joined)?.args?.[0] ?? "", { ...error, exitCode }),
    detachKeys: tty ? parseDetachKeys(detachKeys) : undefined,
  });
}

type ExecStart = { exec: string; detach: boolean; tty: boolean; consoleSize: number[] };

async function joinExec({ sameHost, supervisor }: Node, start: ExecStart, hostId: string, peer: Peer): Promise<Joined> {
  const { exec, consoleSize, detach } = start;
  if (sameHost && !detach) return local(await supervisor.openExec({ exec, consoleSize, hostId }));
  // A detached exec goes on without its caller.
  const signal = detach ? new AbortController().signal : peer.signal;
  return join((requests, options) => supervisor.startExec(requests, options), start, signal);
}

interface ExecProcess {
  readonly args?: string[];
  readonly terminal?: boolean;
}

/** What an exec runs, as its request to the monitor has it; undefined for one on another host. */
function processOf(joined: Joined): ExecProcess | undefined {
  if (!("local" in joined)) return undefined;
  return (JSON.parse(joined.local.request.toString("utf8")) as { process?: ExecProcess }).process;
}

async function isTerminal(joined: Joined, inspect: () => Promise<InspectExecResponse>): Promise<boolean> {
  const process = processOf(joined);
  return process === undefined ? (await inspect()).tty : (process.terminal ?? false);
}

function consoleSize(size: number[] | undefined): number[] {
  if (size === undefined || size.length !== 2) return [];
  return size.map((value) => Math.max(0, Math.min(value, 65_535)));
}

function execJson(exec: InspectExecResponse): Record<string, unknown> {
  return {
    ID: exec.id,
    Running: exec.running,
    ExitCode: exec.exitCode ?? null,
    ProcessConfig: {
      tty: exec.tty,
      entrypoint: exec.cmd[0] ?? "",
      arguments: exec.cmd.slice(1),
      privileged: exec.privileged,
      ...(exec.user === "" ? {} : { user: exec.user }),
    },
    OpenStdin: exec.openStdin,
    OpenStderr: exec.openStderr,
    OpenStdout: exec.openStdout,
    CanRemove: exec.canRemove,
    ContainerID: exec.containerId,
    DetachKeys: exec.detachKeys,
    Pid: exec.pid,
  };
}
