import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type ApiAnswer, callApi } from "./docker-api.ts";
import { projectDir } from "./services.ts";
import { makeTar } from "./tar.ts";

const image = "hello-berth:latest";
const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** Runs a container of the built-in image through the Engine API and gives what it printed. */
export async function runHello(socketPath: string): Promise<string> {
  await ensureImage(socketPath);
  const created = await must(socketPath, "POST", "/containers/create", {
    json: { Image: image, HostConfig: { NetworkMode: "none" } },
  });
  const { Id: id } = JSON.parse(created.body.toString()) as { Id: string };
  try {
    await must(socketPath, "POST", `/containers/${id}/start`);
    const waited = await must(socketPath, "POST", `/containers/${id}/wait`);
    const { StatusCode: status } = JSON.parse(waited.body.toString()) as { StatusCode: number };
    const logs = await must(socketPath, "GET", `/containers/${id}/logs?stdout=1&stderr=1`);
    const text = demultiplex(logs.body).toString("utf8").trimEnd();
    if (status !== 0) throw new Error(`hello-berth ended with ${status}: ${text}`);
    return text;
  } finally {
    await callApi(socketPath, "DELETE", `/containers/${id}?force=1`);
  }
}

async function ensureImage(socketPath: string): Promise<void> {
  const known = await callApi(socketPath, "GET", `/images/${image}/json`);
  const archive = helloImage();
  if (known.status === 200) {
    const { Id: id } = JSON.parse(known.body.toString()) as { Id: string };
    if (archive.ids.includes(id)) return;
  }
  const loaded = await must(socketPath, "POST", "/images/load?quiet=1", { bytes: archive.bytes });
  const failed = loaded.body
    .toString()
    .split("\n")
    .find((line) => line.includes('"error"'));
  if (failed !== undefined) throw new Error(`the image was not taken: ${failed}`);
}

async function must(
  socketPath: string,
  method: string,
  path: string,
  body?: { json: object } | { bytes: Buffer },
): Promise<ApiAnswer> {
  const answer = await callApi(socketPath, method, path, body);
  if (answer.status >= 200 && answer.status < 300) return answer;
  throw new Error(`${method} ${path} answers ${answer.status}: ${answer.body.toString().slice(0, 500)}`);
}

/** Docker's stream frames (Engine API, "Attach to a container"): type, three zeros, length, payload. */
function demultiplex(bytes: Buffer): Buffer {
  const payloads: Buffer[] = [];
  let at = 0;
  while (at + 8 <= bytes.length) {
    const length = bytes.readUInt32BE(at + 4);
    payloads.push(bytes.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return Buffer.concat(payloads);
}

/** One static binary as an OCI image layout (image-spec, image-layout.md) with Docker's manifest.json beside it. */
function helloImage(): { bytes: Buffer; ids: string[] } {
  const binary = readFileSync(join(projectDir, "native/hello/build/hello"));
  const layer = makeTar([{ name: "hello", content: binary, mode: 0o755 }]);
  const config = jsonBytes({
    architecture: architectures[process.arch] ?? process.arch,
    os: "linux",
    created: "1970-01-01T00:00:00Z",
    config: { Entrypoint: ["/hello"], Env: ["PATH=/"], WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: [digest(layer)] },
    history: [{ created: "1970-01-01T00:00:00Z", created_by: "berth" }],
  });
  const manifest = jsonBytes({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: descriptor("application/vnd.oci.image.config.v1+json", config),
    layers: [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
  });
  const index = jsonBytes({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [
      {
        ...descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
        annotations: {
          "io.containerd.image.name": `docker.io/library/${image}`,
          "org.opencontainers.image.ref.name": "latest",
        },
      },
    ],
  });
  const blobs = [layer, config, manifest];
  const bytes = makeTar([
    ...blobs.map((content) => ({ name: blobPath(content), content })),
    { name: "index.json", content: index },
    {
      name: "manifest.json",
      content: jsonBytes([{ Config: blobPath(config), RepoTags: [image], Layers: [blobPath(layer)] }]),
    },
    { name: "oci-layout", content: jsonBytes({ imageLayoutVersion: "1.0.0" }) },
  ]);
  return { bytes, ids: [digest(config), digest(manifest)] };
}

const jsonBytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const sha256 = (content: Buffer): string => createHash("sha256").update(content).digest("hex");
const digest = (content: Buffer): string => `sha256:${sha256(content)}`;
const blobPath = (content: Buffer): string => `blobs/sha256/${sha256(content)}`;
const descriptor = (mediaType: string, content: Buffer) => ({
  mediaType,
  digest: digest(content),
  size: content.length,
});
