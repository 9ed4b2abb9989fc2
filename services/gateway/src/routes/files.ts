import { BerthError } from "@berth/errors";
import type { ChangedConfig } from "../domain/changes/changes.ts";
import { commitReference, committedConfig } from "../domain/commit.ts";
import type { Containers } from "../domain/containers.ts";
import { createRequest } from "../domain/create/body.ts";
import type { Images } from "../domain/images.ts";
import type { Node } from "../domain/nodes/nodes.ts";
import { commonHeaders, sendEmpty, sendJson, startStream } from "../http/answer.ts";
import { decodeBody, readBody } from "../http/body.ts";
import type { Call, UploadCall } from "../http/call.ts";
import { encoded, encodingFor } from "../http/encoding.ts";
import { pieces } from "../http/pieces.ts";
import type { Api } from "../http/server.ts";
import { ChangeKind, markEnd } from "../rpc/types.ts";
import { pathStatHeader } from "../shapes/file.ts";
import { canHandOver, handOverAnswer, handoverIsThere } from "../streams/handover.ts";
import { write } from "../streams/remote.ts";

const statHeader = "X-Docker-Container-Path-Stat";
const unbounded = Number.POSITIVE_INFINITY;

/** Engine API, "Containers": their files (archive, export, changes, commit). */
export function fileRoutes(api: Api, containers: Containers, images: Images, hostId: string): void {
  const path = "/containers/{name}/archive";
  api.on("HEAD", path, (call) => statArchive(call, containers));
  api.on("GET", path, (call) => getArchive(call, containers, hostId));
  api.on("PUT", path, (call) => putArchive(call, containers));
  api.onUpload(path, (call) => receiveArchive(call, containers, hostId));
  api.on("GET", "/containers/{name}/export", (call) => exportContainer(call, containers, hostId));
  api.on("GET", "/containers/{name}/changes", (call) => listChanges(call, containers));
  api.on("POST", "/commit", (call) => commit(call, containers, images));
}

function pathOf({ query }: Pick<Call, "query">): string {
  const path = query.text("path");
  // The words are Docker's own.
  if (path === "") throw new BerthError("INVALID_ARGUMENT", "bad parameter: pathcannot be empty");
  if (path.includes("\0")) throw new BerthError("INVALID_ARGUMENT", "bad parameter: path contains a NUL character");
  return path;
}

async function statArchive(call: Call, containers: Containers): Promise<void> {
  const { name, res, signal } = call;
  const path = pathOf(call);
  const supervisor = await containers.supervisorOf(name, signal);
  const { stat } = await supervisor.statPath({ container: name, path }, { signal });
  if (stat === undefined) throw new Error("the supervisor's answer has no status of the path");
  res.writeHead(200, { ...commonHeaders, [statHeader]: pathStatHeader(stat), "Content-Length": "0" });
  res.end();
}

/** The caller's host for a container on it, when the answer's bytes may go past us. */
async function hostOf(call: Call, node: Node, hostId: string): Promise<string> {
  return (await canHandOver(call, node)) ? hostId : "";
}

async function getArchive(call: Call, containers: Containers, own: string): Promise<void> {
  const { name, req, res, signal } = call;
  const path = pathOf(call);
  const node = await containers.nodes.of(name, signal);
  const encoding = encodingFor(req.headers["accept-encoding"]);
  const hostId = encoding === undefined ? await hostOf(call, node, own) : "";
  let encoder: ReturnType<typeof encoded> | undefined;
  for await (const { message } of node.supervisor.readArchive({ container: name, path, hostId }, { signal })) {
    if (message?.$case === "stat") {
      const headers = { [statHeader]: pathStatHeader(message.value), "Content-Type": "application/x-tar" };
      const coding = encoding === undefined ? {} : { "Content-Encoding": encoding };
      res.writeHead(200, { ...commonHeaders, ...headers, ...coding });
      if (encoding !== undefined) encoder = encoded(encoding, res);
      // A client that leaves ends the call too, which says so.
      encoder?.done.catch(() => {});
    } else if (message?.$case === "data") await write(encoder?.input ?? res, message.value);
    else if (message?.$case === "handover") await handOverAnswer(message.value.socket, res);
  }
  (encoder?.input ?? res).end();
  await encoder?.done;
}

function startOf(call: Pick<Call, "name" | "query">): ArchiveStart {
  const { name, query } = call;
  return {
    container: name,
    path: pathOf(call),
    noOverwriteDirNonDir: query.flag("noOverwriteDirNonDir"),
    copyUidGid: query.flag("copyUIDGID"),
  };
}

/** On one host the supervisor reads the body from the client's own connection. */
async function receiveArchive(
  { upload, ...call }: UploadCall,
  containers: Containers,
  hostId: string,
): Promise<boolean> {
  const { signal } = upload;
  const start = startOf(call);
  const { sameHost, supervisor } = await containers.nodes.of(call.name, signal);
  if (!sameHost || !(await handoverIsThere())) return false;
  for await (const { message } of supervisor.receiveArchive({ start, hostId }, { signal, timeoutMs: unbounded })) {
    if (message?.$case === "handover") await upload.handOver(message.value.socket);
    else if (message?.$case === "received") upload.answer(message.value.reusable);
  }
  return true;
}

async function putArchive(call: Call, containers: Containers): Promise<void> {
  const { name, res, signal } = call;
  const supervisor = await containers.supervisorOf(name, signal);
  await supervisor.writeArchive(archiveRequests(startOf(call), call), { signal, timeoutMs: unbounded });
  sendEmpty(res, 200);
}

interface ArchiveStart {
  container: string;
  path: string;
  noOverwriteDirNonDir: boolean;
  copyUidGid: boolean;
}

async function* archiveRequests(start: ArchiveStart, { req }: Call) {
  yield { message: { $case: "start" as const, value: start } };
  for await (const value of markEnd(pieces(req))) yield { message: { $case: "data" as const, value } };
}

async function exportContainer(call: Call, containers: Containers, own: string): Promise<void> {
  const { name, res, signal } = call;
  const node = await containers.nodes.of(name, signal);
  const request = { container: name, hostId: await hostOf(call, node, own) };
  for await (const { data, handover } of node.supervisor.export(request, { signal })) {
    if (!res.headersSent) startStream(res, "application/octet-stream");
    if (handover !== undefined) await handOverAnswer(handover.socket, res);
    else await write(res, data);
  }
  res.end();
}

const kinds: Partial<Record<ChangeKind, number>> = {
  [ChangeKind.MODIFIED]: 0,
  [ChangeKind.ADDED]: 1,
  [ChangeKind.DELETED]: 2,
};

async function listChanges({ name, res, signal }: Call, containers: Containers): Promise<void> {
  const supervisor = await containers.supervisorOf(name, signal);
  const found: { Path: string; Kind: number }[] = [];
  for await (const { changes } of supervisor.changes({ container: name }, { signal })) {
    for (const { path, kind } of changes) found.push({ Path: path, Kind: kinds[kind] ?? 0 });
  }
  // A list that nothing was put into is null, as Go prints it.
  sendJson(res, 200, found.length === 0 ? null : found);
}

async function commit({ query, req, res, signal }: Call, containers: Containers, images: Images): Promise<void> {
  const body = await readBody(req);
  const given = body.length === 0 ? undefined : (decodeBody(req, body, createRequest) ?? undefined);
  const reference = commitReference(query.text("repo"), query.text("tag"));
  const name = query.text("container");
  if (name === "") throw new BerthError("INVALID_ARGUMENT", 'invalid name or ID supplied: ""');
  const container = await containers.inspect(name, false, signal);
  const { config, containerConfig } = committedConfig(
    container,
    given as ChangedConfig | undefined,
    query.all("changes"),
  );
  const supervisor = await containers.supervisorOf(container.id, signal);
  const request = {
    container: container.id,
    config: Buffer.from(JSON.stringify(config)),
    containerConfig: Buffer.from(JSON.stringify(containerConfig)),
    author: query.text("author"),
    comment: query.text("comment"),
    reference,
    pause: query.flag("pause", true),
  };
  const { imageId } = await supervisor.commit(request, { signal, timeoutMs: unbounded });
  images.invalidate();
  sendJson(res, 201, { Id: imageId });
}
