// A small registry that can be told to misbehave, and to ask for authorization.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { digestOf, MediaType } from "@berth/oci";
import { pack } from "tar-stream";

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface FakeRegistry {
  /** "127.0.0.1:PORT" */
  readonly host: string;
  /** "METHOD PATH" of what was asked for, in order. */
  readonly log: string[];
  /** Headers of the same. */
  readonly headers: IncomingMessage["headers"][];
  /** Answers instead of the registry when it returns true. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  /** Blobs and manifests by digest, manifests by tag as well. */
  readonly blobs: Map<string, Buffer>;
  readonly manifests: Map<string, { mediaType: string; content: Buffer }>;
  close(): Promise<void>;
}

export async function startFakeRegistry(): Promise<FakeRegistry> {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, { mediaType: string; content: Buffer }>();
  const log: string[] = [];
  const headers: IncomingMessage["headers"][] = [];
  const server: Server = createServer((request, response) => {
    log.push(`${request.method} ${request.url}`);
    headers.push(request.headers);
    if (registry.intercept?.(request, response)) return;
    serve(registry, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const registry: FakeRegistry = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    log,
    headers,
    intercept: undefined,
    blobs,
    manifests,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return registry;
}

function serve({ blobs, manifests }: FakeRegistry, request: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(request.url ?? "", "http://x");
  const manifest = /^\/v2\/.+\/manifests\/(.+)$/.exec(pathname)?.[1];
  const blob = /^\/v2\/.+\/blobs\/(.+)$/.exec(pathname)?.[1];
  if (pathname === "/v2/") {
    response.end("{}");
    return;
  }
  const found = manifests.get(manifest ?? "");
  if (manifest !== undefined) {
    if (found === undefined) fault(response, 404, "MANIFEST_UNKNOWN", "manifest unknown");
    else response.writeHead(200, { "content-type": found.mediaType }).end(found.content);
    return;
  }
  const content = blobs.get(blob ?? "");
  if (content === undefined) fault(response, 404, "BLOB_UNKNOWN", "blob unknown to registry");
  else sendRange(request, response, content);
}

export function sendRange(request: IncomingMessage, response: ServerResponse, content: Buffer): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const part = content.subarray(from);
  const range = { "content-range": `bytes ${from}-${content.length - 1}/${content.length}` };
  response.writeHead(from > 0 ? 206 : 200, { "content-length": part.length, ...(from > 0 && range) }).end(part);
}

export function fault(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}

export interface FakeImage {
  id: string;
  digest: string;
  layers: string[];
}

/** An image with one layer a file; content is random unless given. */
export async function addFakeImage(
  registry: FakeRegistry,
  tag: string,
  files: readonly Buffer[],
  architecture = process.arch === "x64" ? "amd64" : process.arch,
): Promise<FakeImage> {
  const put = (content: Buffer, mediaType: string) => {
    const digest = digestOf(content);
    registry.blobs.set(digest, content);
    return { mediaType, digest, size: content.length };
  };
  const tars = await Promise.all(files.map(tarOf));
  const layers = tars.map((tar) => put(gzipSync(tar, { level: 1 }), MediaType.dockerLayerGzip));
  const config = put(
    Buffer.from(
      JSON.stringify({
        architecture,
        os: "linux",
        rootfs: { type: "layers", diff_ids: tars.map((tar) => digestOf(tar)) },
      }),
    ),
    MediaType.dockerConfig,
  );
  const content = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MediaType.dockerManifest, config, layers }),
  );
  const digest = digestOf(content);
  registry.manifests.set(tag, { mediaType: MediaType.dockerManifest, content });
  registry.manifests.set(digest, { mediaType: MediaType.dockerManifest, content });
  return { id: config.digest, digest, layers: layers.map((layer) => layer.digest) };
}

async function tarOf(content: Buffer): Promise<Buffer> {
  const tar = pack();
  tar.entry({ name: "file", mtime: new Date(0) }, content);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
