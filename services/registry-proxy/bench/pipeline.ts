// How fast bytes go registry -> proxy -> gRPC -> store, and what each process spends on it.
//   node services/registry-proxy/bench/pipeline.ts [MB] [LAYERS]
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pushImage, startRegistry } from "@berth/testkit";
import { startServices } from "../tests/support/services.ts";

const megabytes = Number(process.argv[2] ?? 400);
const layers = Number(process.argv[3] ?? 4);
const dir = mkdtempSync(join(tmpdir(), "berth-pipeline-"));
const registry = await startRegistry({ dir, port: 5118 });
const services = await startServices();
try {
  const built = Array.from({ length: layers }, (_, index) => {
    // Random content: it can't be compressed, and is not decompressed here anyway.
    const content = randomBytes((megabytes * 1e6) / layers);
    const file = join(dir, `layer-${index}`);
    writeFileSync(file, content);
    const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
    return { file, digest, diffId: digest, size: content.length };
  });
  await pushImage(registry.host, "bulk", "latest", built, {});
  const before = cpu();
  const start = performance.now();
  for await (const _ of services.proxy.pull({ reference: `${registry.host}/bulk` }));
  const seconds = (performance.now() - start) / 1000;
  const after = cpu();
  console.log(`${megabytes} MB in ${layers} layers: ${seconds.toFixed(2)} s, ${(megabytes / seconds).toFixed(0)} MB/s`);
  for (const name of ["image-store", "registry-proxy"] as const) {
    console.log(`  ${name}: ${(after[name] - before[name]).toFixed(2)} CPU s, ${rss(name)} MB resident`);
  }
} finally {
  await services.close();
  await registry.stop();
  rmSync(dir, { recursive: true, force: true });
}

/** s of user and system time */
function cpu(): Record<"image-store" | "registry-proxy", number> {
  const of = (name: "image-store" | "registry-proxy"): number => {
    const fields = readFileSync(`/proc/${services.process(name).pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  };
  return { "image-store": of("image-store"), "registry-proxy": of("registry-proxy") };
}

function rss(name: "image-store" | "registry-proxy"): number {
  const status = readFileSync(`/proc/${services.process(name).pid}/status`, "utf8");
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024);
}
