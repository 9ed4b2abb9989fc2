// The images of the benchmark: busybox, and one of 400 MB in 4 layers of 20,000 small files each.
import { createCipheriv, createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BuiltLayer, packLayer, pushBusybox, pushImage, startRegistry } from "@berth/testkit";

const LAYERS = 4;
const FILES = 20_000;
const FILE_BYTES = 5_000;

/** Fills the registry's directory once; later runs find it there. `port` is used on the host's loopback meanwhile. */
export async function fillRegistry(dir: string, port: number): Promise<void> {
  const marker = join(dir, `filled-${LAYERS}x${FILES}x${FILE_BYTES}`);
  const there = await stat(marker).catch(() => undefined);
  if (there !== undefined) return;
  const registry = await startRegistry({ dir, port });
  const work = await mkdtemp(join(tmpdir(), "berth-bench-image-"));
  try {
    await pushBusybox(registry.host);
    const layers: BuiltLayer[] = [];
    for (let index = 0; index < LAYERS; index++) layers.push(await bigLayer(work, index));
    await pushImage(registry.host, "big", "latest", layers, { Cmd: ["true"] });
    await writeFile(marker, "");
  } finally {
    await registry.stop();
    await rm(work, { recursive: true, force: true });
  }
}

async function bigLayer(work: string, index: number): Promise<BuiltLayer> {
  const root = join(work, `layer${index}`);
  for (let file = 0; file < FILES; file++) {
    const dir = join(root, `l${index}`, `d${Math.floor(file / 100)}`);
    if (file % 100 === 0) await mkdir(dir, { recursive: true });
    await writeFile(join(dir, `f${file}`), content(index, file));
  }
  const layer = await packLayer(root, join(work, `layer${index}.gz`), 6);
  await rm(root, { recursive: true, force: true });
  return layer;
}

/** Half text that compresses, half bytes that don't; the same at every run. */
function content(layer: number, file: number): Buffer {
  const text = `layer ${layer} file ${file} of the benchmark image\n`
    .repeat(Math.ceil(FILE_BYTES / 2 / 40))
    .slice(0, FILE_BYTES / 2);
  const key = createHash("sha256").update(`${layer}/${file}`).digest();
  const noise = createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(FILE_BYTES / 2));
  return Buffer.concat([Buffer.from(text), noise]);
}
