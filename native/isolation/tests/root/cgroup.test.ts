// The native tests that need root, on this host's own control groups.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const BINARY = join(dirname(fileURLToPath(import.meta.url)), "../../build/berth-root-tests");

async function testGroups(): Promise<string[]> {
  const found: string[] = [];
  for (const hierarchy of ["", ...(await readdir("/sys/fs/cgroup"))]) {
    const names = await readdir(join("/sys/fs/cgroup", hierarchy)).catch(() => []);
    found.push(...names.filter((name) => name.startsWith("berth-test-")).map((name) => join(hierarchy, name)));
  }
  return found;
}

test("limits, devices, freezing, killing and removing on this host", { timeout: 120_000 }, async () => {
  expect(existsSync(BINARY), `${BINARY} is missing: npm run build:native makes it`).toBe(true);
  const before = await testGroups();
  const result = await run(BINARY, [], { timeout: 100_000, maxBuffer: 16 << 20 }).catch(
    (error: { stdout?: string; message: string }) => ({ stdout: `${error.message}\n${error.stdout ?? ""}` }),
  );
  expect(result.stdout).toContain("Status: SUCCESS!");
  expect((await testGroups()).filter((group) => !before.includes(group))).toEqual([]);
});
