// Generates packages/api/src/gen from proto/ (turbo task `generate`): TypeScript by ts-proto, and one descriptor set
// that the services' reflection answers from.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const protos = join(root, "proto");
const out = join(root, "packages/api/src/gen");

buf("generate");
buf("build", "--as-file-descriptor-set", "-o", join(out, "descriptors.binpb"));
for (const file of readdirSync(out, { recursive: true, encoding: "utf8" })) {
  if (file.endsWith(".ts")) avoidCopies(join(out, file));
}

/**
 * ts-proto copies every bytes field once (`Buffer.from(view)`). Messages are decoded from a buffer of their own that
 * nobody writes to again, so a view is as good, and bulk streams (blobs, stdio) are spared a copy at each hop.
 */
function avoidCopies(file) {
  const text = readFileSync(file, "utf8");
  const copying = "Buffer.from(reader.bytes())";
  if (!text.includes(copying)) return;
  const helper = `
function viewAsBuffer(view: Uint8Array): Buffer<ArrayBuffer> {
  return Buffer.from(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength);
}
`;
  writeFileSync(file, text.replaceAll(copying, "viewAsBuffer(reader.bytes())") + helper);
}

function buf(...args) {
  const binary = join(root, "node_modules/.bin/buf");
  const { status, error } = spawnSync(binary, args, { cwd: protos, stdio: ["ignore", "inherit", "inherit"] });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}
