// Small local images under the names that public suites use: no registry is asked, and both engines get the very same bytes.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, mkdir, mkdtemp, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { Docker, findDocker } from "../docker.ts";
import { buildDebian } from "../images.ts";
import { must, run } from "../process.ts";

const cache = join(import.meta.dirname, "../../../../.cache/testkit");
/** Counted up when what is in the archive changes. */
const archive = join(cache, "suite-images-5.tar");

const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

interface StandIn {
  readonly tags: readonly string[];
  readonly layers: readonly ("busybox" | "hello" | "alpine" | "debian" | "procps")[];
  readonly architecture?: string;
  readonly command: readonly string[];
  /** Makes images that would else be one and the same differ. */
  readonly comment: string;
}

const STAND_INS: readonly StandIn[] = [
  { tags: ["busybox:latest"], layers: ["busybox"], command: ["sh"], comment: "busybox" },
  { tags: ["busybox:glibc"], layers: ["busybox"], command: ["sh"], comment: "busybox with glibc" },
  { tags: ["alpine:latest", "alpine:3.10"], layers: ["busybox", "alpine"], command: ["/bin/sh"], comment: "alpine" },
  {
    tags: ["hello-world:latest", "hello-world:frozen", "hello-world:amd64"],
    layers: ["hello"],
    command: ["/hello"],
    comment: "hello-world",
  },
  {
    tags: ["hello-world:arm64"],
    layers: ["hello"],
    architecture: "arm64",
    command: ["/hello"],
    comment: "hello-world",
  },
  { tags: ["debian:bookworm-slim"], layers: ["debian"], command: ["bash"], comment: "debian" },
  { tags: ["ubuntu:latest"], layers: ["debian", "procps"], command: ["/bin/bash"], comment: "ubuntu" },
];

/** Loads those that the engine lacks. */
export async function loadStandIns(host: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), "berth-stand-ins-"));
  try {
    const docker = new Docker(await findDocker(), host.replace(/^unix:\/\//, ""), work);
    const tags = STAND_INS.flatMap((image) => image.tags);
    const there = await Promise.all(tags.map(async (tag) => (await docker.run(["image", "inspect", tag])).code === 0));
    if (there.every(Boolean)) return;
    if ((await stat(archive).catch(() => undefined)) === undefined) await build(work);
    await docker.must(["load", "-q", "-i", archive], { timeoutMs: 300_000 });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** An archive as `docker save` writes it: manifest.json, configs and plain layers. */
async function build(work: string): Promise<void> {
  const root = join(work, "archive");
  await mkdir(root);
  const made = {
    busybox: await busybox(work, root),
    hello: await hello(work, root),
    debian: await debian(root),
    procps: await procps(work, root),
    alpine: await alpine(work, root),
  };
  const manifest = [];
  for (const image of STAND_INS) {
    const layers = image.layers.map((name) => made[name]);
    const text = JSON.stringify({
      architecture: image.architecture ?? (process.arch === "x64" ? "amd64" : process.arch),
      os: "linux",
      created: "2026-01-01T00:00:00Z",
      config: { Cmd: image.command, Env: [PATH] },
      rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
      history: layers.map(() => ({ created: "2026-01-01T00:00:00Z", created_by: "testkit", comment: image.comment })),
    });
    const name = `${createHash("sha256").update(text).digest("hex")}.json`;
    await writeFile(join(root, name), text);
    manifest.push({ Config: name, RepoTags: image.tags, Layers: layers.map(({ name: file }) => file) });
  }
  await writeFile(join(root, "manifest.json"), JSON.stringify(manifest));
  await mkdir(dirname(archive), { recursive: true });
  await must(["tar", "-C", root, "-cf", `${archive}.part`, "."], { timeoutMs: 300_000 });
  await rename(`${archive}.part`, archive);
}

interface Layer {
  readonly name: string;
  readonly diffId: string;
}

async function layerOf(file: string, name: string): Promise<Layer> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return { name, diffId: `sha256:${hash.digest("hex")}` };
}

async function pack(dir: string, root: string, name: string): Promise<Layer> {
  const owner = ["--numeric-owner", "--owner=0", "--group=0", "--sort=name", "--mtime=@1767225600"];
  await must(["tar", ...owner, "-C", dir, "-cf", join(root, name), "."], { timeoutMs: 300_000 });
  return layerOf(join(root, name), name);
}

const PASSWD = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
sync:x:4:100:sync:/bin:/bin/sync
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
operator:x:37:37:Operator:/var:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
`;

/** As in the image that the suites were written for: tests name audio, staff and wheel. */
const GROUPS =
  "root:0 daemon:1 bin:2 sys:3 adm:4 tty:5 disk:6 lp:7 mail:8 kmem:9 wheel:10:root cdrom:11 dialout:18 floppy:19 video:28 " +
  "audio:29 tape:32 www-data:33 operator:37 utmp:43 plugdev:46 staff:50 lock:54 netdev:82 users:100 nobody:65534";

async function busybox(work: string, root: string): Promise<Layer> {
  const dir = join(work, "busybox");
  for (const name of [
    "bin",
    "dev",
    "etc",
    "home",
    "lib",
    "root",
    "tmp",
    "usr/bin",
    "usr/sbin",
    "sbin",
    "var/spool/mail",
    "var/www",
  ]) {
    await mkdir(join(dir, name), { recursive: true });
  }
  await chmod(join(dir, "tmp"), 0o1777);
  await chmod(join(dir, "root"), 0o700);
  await writeFile(join(dir, "etc/passwd"), PASSWD);
  const groups = GROUPS.split(" ").map((group) => {
    const [name, id, members = ""] = group.split(":");
    return `${name}:x:${id}:${members}\n`;
  });
  await writeFile(join(dir, "etc/group"), groups.join(""));
  await must(["cp", "/bin/busybox", join(dir, "bin/busybox")]);
  const applets = (await must(["/bin/busybox", "--list"]))
    .split("\n")
    .filter((name) => name !== "" && name !== "busybox");
  for (const applet of applets) await symlink("busybox", join(dir, "bin", applet));
  return pack(dir, root, "busybox.tar");
}

async function hello(work: string, root: string): Promise<Layer> {
  const dir = join(work, "hello");
  await mkdir(join(dir, "bin"), { recursive: true });
  await must(["cp", "/bin/busybox", join(dir, "bin/busybox")]);
  const text = "\nHello from Docker!\nThis message shows that your installation appears to be working correctly.\n";
  await writeFile(join(dir, "hello"), `#!/bin/busybox sh\n/bin/busybox cat <<'END'\n${text}END\n`, { mode: 0o755 });
  return pack(dir, root, "hello.tar");
}

/** The user and the folder that suites know alpine to have and busybox to lack. */
async function alpine(work: string, root: string): Promise<Layer> {
  const dir = join(work, "alpine");
  await mkdir(join(dir, "etc"), { recursive: true });
  await mkdir(join(dir, "var/opt"), { recursive: true });
  await writeFile(join(dir, "etc/passwd"), `${PASSWD}postgres:x:70:70::/var/lib/postgresql:/bin/sh\n`);
  return pack(dir, root, "alpine.tar");
}

/** What Debian's smallest system lacks and suites call: uptime. */
async function procps(work: string, root: string): Promise<Layer> {
  const dir = join(work, "procps");
  await mkdir(join(dir, "usr/bin"), { recursive: true });
  await must(["cp", "/bin/busybox", join(dir, "usr/bin/uptime")]);
  return pack(dir, root, "procps.tar");
}

async function debian(root: string): Promise<Layer> {
  const file = join(cache, "debian-bookworm.gz");
  await buildDebian(file);
  const name = "debian.tar";
  const unpacked = join(root, name);
  const done = await run(["sh", "-c", 'gzip -dc "$1" > "$2"', "gzip", file, unpacked], { timeoutMs: 300_000 });
  if (done.code !== 0) throw new Error(`${file}: ${done.stderr}`);
  return layerOf(unpacked, name);
}
