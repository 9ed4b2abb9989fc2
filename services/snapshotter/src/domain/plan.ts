import { join } from "node:path";
import type { SnapshotRecord } from "./records.ts";
import type { Mount, MountPlan } from "./snapshotter.ts";

/**
 * What overlayfs may not do, whatever the kernel's defaults are: each would put into the upper directory what only this very mount
 * understands, and diff() reads the directory itself. index=off also allows a layer below two mounts at once.
 */
const selfContained = ["index=off", "redirect_dir=off", "metacopy=off"];

/** How a snapshot is mounted. `below` are the layers it stands on, top first. */
export function planMounts(base: string, record: SnapshotRecord, below: readonly SnapshotRecord[]): MountPlan {
  const files = ({ dir }: SnapshotRecord) => join(base, String(dir), "fs");
  const active = record.kind === "active";
  // A view has nothing of its own once it stands on something.
  const layers = active || below.length === 0 ? [record, ...below] : [...below];
  const layerDirs = layers.map(files);
  const only = layerDirs[0] as string;
  if (layers.length === 1) return { mounts: [bind(only, active)], layerDirs };
  return { mounts: [overlay(base, active ? record : undefined, below)], layerDirs };
}

const bind = (source: string, writable: boolean): Mount => ({
  type: "bind",
  source,
  options: ["rbind", writable ? "rw" : "ro"],
  base: "",
});

function overlay(base: string, upper: SnapshotRecord | undefined, below: readonly SnapshotRecord[]): Mount {
  const lower = `lowerdir=${below.map(({ dir }) => `${dir}/fs`).join(":")}`;
  const own = upper ? [`upperdir=${upper.dir}/fs`, `workdir=${upper.dir}/work`] : ["ro"];
  return { type: "overlay", source: "overlay", options: [lower, ...own, ...selfContained], base };
}
