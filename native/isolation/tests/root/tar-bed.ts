/** A directory to unpack into, with something beside it that must stay as it is. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ApplyOptions, type ApplyResult, LayerApply } from "../../ts/index.ts";

export interface TarBed {
  readonly target: string;
  /** Beside the target, with the content "outside". */
  readonly outside: string;
  apply(archive: Buffer, options?: Partial<ApplyOptions>): Promise<ApplyResult>;
  /** A fresh target. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

export async function openTarBed(parent: string = tmpdir()): Promise<TarBed> {
  const base = await mkdtemp(join(parent, "berth-tar-"));
  const target = join(base, "layer");
  const outside = join(base, "outside");
  await mkdir(target);
  await writeFile(outside, "outside");
  return {
    target,
    outside,
    async apply(archive, options = {}) {
      const layer = new LayerApply({ target, source: { kind: "push" }, ...options });
      for (let at = 0; at < archive.length; at += 65_536) await layer.write(archive.subarray(at, at + 65_536));
      return layer.finish();
    },
    async clear() {
      await rm(target, { recursive: true, force: true });
      await mkdir(target);
    },
    async close() {
      const content = await readFile(outside, "utf8");
      await rm(base, { recursive: true, force: true });
      if (content !== "outside") throw new Error("a layer wrote outside of its target");
    },
  };
}
