/** Pushes two images of several layers over one base to the registry at HOST. A program: the registry is in another network namespace. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BuiltLayer, busyboxRoot, packLayer, pushImage } from "@berth/testkit";

const [host = ""] = process.argv.slice(2);
const work = await mkdtemp(join(tmpdir(), "berth-layers-"));
const config = { Cmd: ["sh"], Env: ["PATH=/bin"] };

async function layerOf(name: string, files: number): Promise<BuiltLayer> {
  const directory = join(work, name);
  await mkdir(join(directory, "data", name), { recursive: true });
  for (let i = 0; i < files; i++) await writeFile(join(directory, "data", name, `${i}`), `${name} ${i}\n`.repeat(100));
  return packLayer(directory, `${directory}.gz`, 1);
}

try {
  await busyboxRoot(join(work, "root"));
  const base = await packLayer(join(work, "root"), join(work, "base.gz"));
  const [a, b, c] = [await layerOf("a", 2000), await layerOf("b", 10), await layerOf("c", 300)];
  await pushImage(host, "layers", "one", [base, a, b], config);
  await pushImage(host, "layers", "two", [base, c], config);
} finally {
  await rm(work, { recursive: true });
}
