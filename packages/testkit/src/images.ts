// Real images for tests and benchmarks, pushed to a registry by the distribution API.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { must } from "./process.ts";

export interface ImageConfig {
  readonly Cmd?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Env?: readonly string[];
  readonly WorkingDir?: string;
  readonly User?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
}

export interface BuiltLayer {
  /** gzip file */
  readonly file: string;
  readonly digest: string;
  readonly diffId: string;
  readonly size: number;
}

const APPLETS = [
  "sh",
  "echo",
  "cat",
  "true",
  "false",
  "sleep",
  "ls",
  "ps",
  "head",
  "tail",
  "seq",
  "yes",
  "wc",
  "grep",
  "id",
  "env",
  "hostname",
  "mount",
  "mkdir",
  "rm",
  "touch",
  "kill",
  "nc",
  "httpd",
  "wget",
  "ping",
  "ip",
  "dd",
  "sha256sum",
  "md5sum",
  "stty",
  "tty",
  "date",
  "test",
  "printf",
  "pwd",
  "chmod",
  "chown",
  "ln",
  "cp",
  "mv",
  "find",
  "sort",
  "uname",
  "whoami",
  "vi",
  "stat",
  "trap",
  "usleep",
  "awk",
  "sed",
  "cut",
  "tr",
  "df",
  "free",
];

/** The root of a small system: busybox with its applets, users, and the directories programs expect. */
export async function busyboxRoot(dir: string): Promise<void> {
  for (const name of ["bin", "etc", "tmp", "root", "home", "proc", "sys", "dev", "var", "usr/bin"]) {
    await mkdir(join(dir, name), { recursive: true });
  }
  await chmod(join(dir, "tmp"), 0o1777);
  await copyFile("/bin/busybox", join(dir, "bin/busybox"));
  for (const applet of APPLETS) await symlink("busybox", join(dir, "bin", applet));
  await writeFile(join(dir, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n");
  await writeFile(join(dir, "etc/group"), "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n");
}

/** Packs a directory into a gzip layer file. `level` is gzip's. */
export async function packLayer(dir: string, file: string, level = 6): Promise<BuiltLayer> {
  const tar = `${file}.tar`;
  await must(["tar", "--numeric-owner", "--owner=0", "--group=0", "-C", dir, "-cf", tar, "."], { timeoutMs: 300_000 });
  const diffId = await sha256(tar);
  await must(["sh", "-c", `gzip -n -${level} < "$1" > "$2"`, "gzip", tar, file], { timeoutMs: 300_000 });
  await rm(tar);
  return { file, digest: await sha256(file), diffId, size: (await stat(file)).size };
}

const sha256 = (file: string): Promise<string> => sha256Of(createReadStream(file, { highWaterMark: 1 << 20 }));

async function sha256Of(stream: NodeJS.ReadableStream): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(stream, hash);
  return `sha256:${hash.digest("hex")}`;
}

/** Pushes layers and a config as "host/name:tag". The registry must be reachable from this process. */
export async function pushImage(
  host: string,
  name: string,
  tag: string,
  layers: readonly BuiltLayer[],
  config: ImageConfig,
): Promise<void> {
  const image = Buffer.from(
    JSON.stringify({
      architecture: process.arch === "x64" ? "amd64" : process.arch,
      os: "linux",
      created: "2026-01-01T00:00:00Z",
      config,
      rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
      history: layers.map(() => ({ created: "2026-01-01T00:00:00Z", created_by: "testkit" })),
    }),
  );
  for (const layer of layers) await pushBlob(host, name, layer.digest, layer.size, () => createReadStream(layer.file));
  const digest = `sha256:${createHash("sha256").update(image).digest("hex")}`;
  await pushBlob(host, name, digest, image.length, () => image);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.docker.distribution.manifest.v2+json",
      config: { mediaType: "application/vnd.docker.container.image.v1+json", digest, size: image.length },
      layers: layers.map((layer) => ({
        mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip",
        digest: layer.digest,
        size: layer.size,
      })),
    }),
  );
  await send(host, "PUT", `/v2/${name}/manifests/${tag}`, manifest, manifest.length, {
    "content-type": "application/vnd.docker.distribution.manifest.v2+json",
  });
}

async function pushBlob(
  host: string,
  name: string,
  digest: string,
  size: number,
  body: () => Buffer | NodeJS.ReadableStream,
): Promise<void> {
  const location = (await send(host, "POST", `/v2/${name}/blobs/uploads/`, Buffer.alloc(0), 0, {})).location;
  if (location === undefined) throw new Error("registry gave no upload location");
  const url = new URL(location, `http://${host}`);
  url.searchParams.set("digest", digest);
  await send(host, "PUT", `${url.pathname}${url.search}`, body(), size, { "content-type": "application/octet-stream" });
}

function send(
  host: string,
  method: string,
  path: string,
  body: Buffer | NodeJS.ReadableStream,
  size: number,
  headers: Record<string, string>,
): Promise<{ location: string | undefined }> {
  return new Promise((resolve, reject) => {
    const call = request(
      `http://${host}${path}`,
      { method, headers: { ...headers, "content-length": size } },
      (answer) => {
        answer.resume();
        answer.once("end", () => {
          const status = answer.statusCode ?? 0;
          if (status >= 200 && status < 300) resolve({ location: answer.headers.location });
          else reject(new Error(`${method} ${path}: ${status}`));
        });
      },
    );
    call.once("error", reject);
    if (Buffer.isBuffer(body)) call.end(body);
    else body.pipe(call);
  });
}

/** Builds the busybox image and pushes it as "host/busybox:latest". */
export async function pushBusybox(host: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), "berth-busybox-"));
  try {
    await busyboxRoot(join(work, "root"));
    const layer = await packLayer(join(work, "root"), join(work, "layer.gz"));
    await pushImage(host, "busybox", "latest", [layer], { Cmd: ["sh"], Env: ["PATH=/usr/bin:/bin"] });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Builds a small Debian from the machine's own configured mirror into a layer file, once. */
export async function buildDebian(file: string): Promise<void> {
  if ((await stat(file).catch(() => undefined)) !== undefined) return;
  await mkdir(dirname(file), { recursive: true });
  const work = await mkdtemp(join(tmpdir(), "berth-debian-"));
  try {
    const root = join(work, "root");
    await must(["mmdebstrap", "-q", "--variant=essential", "bookworm", root, ...(await aptSources())], {
      timeoutMs: 300_000,
    });
    await packLayer(root, `${file}.part`, 1);
    await rename(`${file}.part`, file);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Pushes the layer that buildDebian() made as "host/debian:bookworm". */
export async function pushDebian(host: string, file: string): Promise<void> {
  const diffId = await sha256Of(createReadStream(file).pipe(createGunzip()));
  const layer = { file, digest: await sha256(file), diffId, size: (await stat(file)).size };
  await pushImage(host, "debian", "bookworm", [layer], {
    Cmd: ["bash"],
    Env: ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"],
  });
}

async function aptSources(): Promise<string[]> {
  const text = await readFile("/etc/apt/sources.list.d/debian.sources", "utf8").catch(() =>
    readFile("/etc/apt/sources.list", "utf8"),
  );
  const mirror = /https?:\/\/[^\s]+\/debian\/?(?=\s|$)/.exec(text)?.[0];
  return mirror === undefined ? [] : [mirror];
}
