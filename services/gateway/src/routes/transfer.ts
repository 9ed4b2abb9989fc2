import type { IncomingMessage } from "node:http";
import { BerthError, errorMessage } from "@berth/errors";
import type { Logger } from "@berth/log";
import { familiarName, parseReference, type Reference } from "@berth/oci";
import { applyChanges } from "../domain/changes/changes.ts";
import type { Images } from "../domain/images.ts";
import { type PullParts, pull } from "../domain/pull.ts";
import { commonHeaders, sendJson, startStream } from "../http/answer.ts";
import type { Call } from "../http/call.ts";
import { pieces } from "../http/pieces.ts";
import type { Api } from "../http/server.ts";
import { type FetchResponse, markEnd, type RegistryAuth, type RegistryProxy, type Snapshotter } from "../rpc/types.ts";
import { errorLine, jsonLine, progressLine } from "../shapes/progress.ts";
import { write } from "../streams/remote.ts";
import { platformOf, targetOf } from "./images.ts";

export interface TransferParts {
  log: Logger;
  images: Images;
  registry: RegistryProxy;
  snapshotterSoon: (signal: AbortSignal) => Promise<Snapshotter | undefined>;
}

/** Engine API, "Images": what moves bytes (pull, import, load, save) and asks registries. */
export function transferRoutes(api: Api, parts: TransferParts): void {
  api.on("POST", "/images/create", (call) => {
    if (call.query.text("fromImage") !== "") return create(call, parts);
    if (call.query.text("fromSrc") !== "") return importImage(call, parts);
    throw new BerthError("INVALID_ARGUMENT", "one of fromImage and fromSrc is needed");
  });
  api.on("POST", "/images/load", (call) => load(call, parts));
  api.on("GET", "/images/get", (call) => save(call, parts.images, call.query.all("names")));
  api.on("GET", "/images/{name...}/get", (call) => save(call, parts.images, [call.name]));
  api.on("GET", "/distribution/{name...}/json", (call) => resolve(call, parts.registry));
}

async function create(call: Call, { images, log, registry, snapshotterSoon }: TransferParts): Promise<void> {
  const { query, req, signal } = call;
  const reference = pullReference(query.text("fromImage"), query.text("tag"));
  const platform = call.minor >= 32 ? platformOf(query.text("platform")) : undefined;
  const parts: PullParts = { log, registry, snapshotter: await snapshotterSoon(signal) };
  const messages = pull(parts, { ...reference, platform, auth: registryAuth(req) }, signal);
  await stream(call, async (say) => {
    for await (const message of messages) await say(progressLine(message));
  });
  images.invalidate();
}

/** Sends lines until the work ends. What fails before the first line has a status; later it is a line itself. */
async function stream(
  { res, signal }: Call,
  work: (say: (line: string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const say = async (line: string) => {
    if (!res.headersSent) startStream(res, "application/json");
    await write(res, Buffer.from(line));
  };
  try {
    await work(say);
    if (!res.headersSent) startStream(res, "application/json");
    res.end();
  } catch (error) {
    if (!res.headersSent) throw error;
    if (signal.aborted) return;
    res.end(errorLine(errorMessage(error)));
  }
}

/** fromImage and tag, where the tag may be a digest. `shown` names it as the user did. @throws INVALID_ARGUMENT */
export function pullReference(fromImage: string, tag: string): { reference: string; shown: string; path: string } {
  const parsed = parseReference(fromImage);
  return { ...pullTarget(parsed, tag), path: parsed.path };
}

function pullTarget(parsed: Reference, tag: string): { reference: string; shown: string } {
  const name = familiarName(parsed);
  if (tag.includes(":")) {
    const text = `${name}@${tag}`;
    parseReference(text);
    return { reference: text, shown: text };
  }
  if (tag !== "") {
    const target = targetOf(name, tag);
    return { reference: target, shown: target };
  }
  if (parsed.digest !== undefined) return { reference: `${name}@${parsed.digest}`, shown: `${name}@${parsed.digest}` };
  if (parsed.tag !== undefined) return { reference: `${name}:${parsed.tag}`, shown: `${name}:${parsed.tag}` };
  return { reference: `${name}:latest`, shown: `${name}:latest` };
}

/** X-Registry-Auth: base64 (URL alphabet) of JSON. What can't be read counts as nothing given, as with Docker. */
export function registryAuth(req: Pick<IncomingMessage, "headers">): RegistryAuth | undefined {
  const header = req.headers["x-registry-auth"];
  if (typeof header !== "string" || header === "") return undefined;
  try {
    const value = JSON.parse(Buffer.from(header, "base64url").toString("utf8")) as Record<string, unknown>;
    const field = (name: string) => (typeof value[name] === "string" ? value[name] : "");
    const auth: RegistryAuth = {
      username: field("username"),
      password: field("password"),
      identityToken: field("identitytoken"),
      registryToken: field("registrytoken"),
      serverAddress: field("serveraddress"),
    };
    const isEmpty = !auth.username && !auth.password && !auth.identityToken && !auth.registryToken;
    return isEmpty ? undefined : auth;
  } catch {
    return undefined;
  }
}

/** POST /images/create?fromSrc=: a tar of a root file system, in the body ("-") or at a URL, becomes an image. */
async function importImage(call: Call, parts: TransferParts): Promise<void> {
  const { images, registry } = parts;
  const { query, req, signal } = call;
  const source = query.text("fromSrc");
  const repository = query.text("repo");
  const reference = repository === "" ? "" : targetOf(repository, query.text("tag"));
  const changes = query.all("changes");
  const start = {
    reference,
    comment: query.text("message") || `Imported from ${source}`,
    config: changes.length === 0 ? Buffer.alloc(0) : Buffer.from(JSON.stringify(applyChanges(changes))),
    platform: platformOf(query.text("platform")),
  };
  await stream(call, async (say) => {
    const archive = source === "-" ? pieces(req) : await download(registry, source, say, signal);
    const { imageId } = await images.store.importImage(importRequests(start, archive), {
      signal,
      timeoutMs: Number.POSITIVE_INFINITY,
    });
    images.invalidate();
    await unpack(parts, imageId, signal);
    await say(jsonLine({ status: imageId }));
  });
}

interface ImportStart {
  reference: string;
  comment: string;
  config: Buffer;
  platform: ReturnType<typeof platformOf>;
}

async function* importRequests(start: ImportStart, archive: AsyncIterable<Buffer>) {
  yield { message: { $case: "start" as const, value: start } };
  for await (const data of markEnd(archive)) yield { message: { $case: "data" as const, value: data } };
}

/** bytes between two lines of progress */
const progressStep = 1024 * 1024;

/** What lies at a URL, telling how far it is. Nobody hears of it before there is something. */
async function download(
  registry: RegistryProxy,
  url: string,
  say: (line: string) => Promise<void>,
  signal: AbortSignal,
): Promise<AsyncGenerator<Buffer>> {
  const answers = registry.fetch({ url }, { signal })[Symbol.asyncIterator]();
  const { value: first } = await answers.next();
  const found = first?.message?.$case === "found" ? first.message.value : { url, size: 0 };
  await say(jsonLine({ status: `Downloading from ${found.url}` }));
  return measured(answers, found.size, say);
}

async function* measured(
  answers: AsyncIterator<FetchResponse>,
  total: number,
  say: (line: string) => Promise<void>,
): AsyncGenerator<Buffer> {
  let current = 0;
  let said = 0;
  try {
    for (let answer = await answers.next(); answer.done !== true; answer = await answers.next()) {
      const { message } = answer.value;
      if (message?.$case !== "data") continue;
      current += message.value.length;
      if (current - said >= progressStep || current === total) {
        said = current;
        await say(progressLine({ status: "Importing", current, total: Math.max(total, current) }));
      }
      yield message.value;
    }
  } finally {
    await answers.return?.();
  }
}

async function load(call: Call, parts: TransferParts): Promise<void> {
  const { images } = parts;
  const { query, req, signal } = call;
  const quiet = query.flag("quiet", true);
  // Whatever is wrong with an archive Docker tells as a line, never as a status.
  startStream(call.res, "application/json");
  await stream(call, async (say) => {
    for await (const { message } of images.store.loadImages(loadRequests(req), { signal })) {
      if (message?.$case === "loaded") {
        const text = message.value.startsWith("Loaded image") ? message.value : `Loaded image: ${message.value}`;
        const name = /^Loaded image(?: ID)?: (\S+)/.exec(text)?.[1];
        if (name !== undefined) await unpack(parts, name, signal);
        await say(jsonLine({ stream: text.endsWith("\n") ? text : `${text}\n` }));
      } else if (message?.$case === "progress" && !quiet) {
        const { id, current, total } = message.value;
        await say(
          progressLine({ status: "Loading layer", id: id.replace(/^sha256:/, "").slice(0, 12), current, total }),
        );
      }
    }
  });
  images.invalidate();
}

/**
 * Unpacks what has just come in, so that its size is known and its first container starts at once. A head start: if
 * it fails, the first create unpacks and says what is wrong.
 */
async function unpack(
  { images, snapshotterSoon }: TransferParts,
  reference: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    const [image, snapshotter] = await Promise.all([images.get(reference), snapshotterSoon(signal)]);
    if (snapshotter === undefined) return;
    await Array.fromAsync(snapshotter.unpack({ layers: image.layers }, { signal }));
  } catch {
    signal.throwIfAborted();
  }
}

async function* loadRequests(req: IncomingMessage) {
  for await (const data of markEnd(pieces(req))) yield { data };
}

/** GET /images/get: the archive starts once the store has found every image. */
async function save({ query, res, signal }: Call, images: Images, names: readonly string[]): Promise<void> {
  if (names.length === 0) throw new BerthError("INVALID_ARGUMENT", "at least one image is needed");
  if (query.all("platform").length > 1)
    throw new BerthError("INVALID_ARGUMENT", "multiple platform parameters not supported");
  const answers = images.store.saveImages({ references: [...names] }, { signal });
  for await (const { data } of answers) {
    if (!res.headersSent) {
      res.writeHead(200, { ...commonHeaders, "Content-Type": "application/x-tar" });
    }
    await write(res, data);
  }
  if (!res.headersSent) startStream(res, "application/x-tar");
  res.end();
}

async function resolve({ name, req, res, signal }: Call, registry: RegistryProxy): Promise<void> {
  parseReference(name);
  const { descriptor, platforms } = await registry.resolve({ reference: name, auth: registryAuth(req) }, { signal });
  sendJson(res, 200, {
    Descriptor: {
      mediaType: descriptor?.mediaType ?? "",
      digest: descriptor?.digest ?? "",
      size: descriptor?.size ?? 0,
    },
    Platforms: platforms.map(({ os, architecture, variant, osVersion }) => ({
      architecture,
      os,
      ...(variant === "" ? {} : { variant }),
      ...(osVersion === "" ? {} : { "os.version": osVersion }),
    })),
  });
}
