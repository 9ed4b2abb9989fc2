import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";

const project = resolve(import.meta.dirname, "../../..");
const read = (path: string) => readFileSync(join(project, path), "utf8");

it("every setting of a service is in deploy/README.md, and nothing else", () => {
  const paths = ["services/*/src/config.ts", "packages/config/src/common.ts", "packages/launcher/src/options.ts"];
  const sources = execFileSync("git", ["ls-files", ...paths], { cwd: project, encoding: "utf8" });
  const settings = sources
    .trim()
    .split("\n")
    .flatMap((path) => [...read(path).matchAll(/env(?:: |\[)"(BERTH_[A-Z_]+)"/g)].map(([, name = ""]) => name));
  const told = read("deploy/README.md").match(/BERTH_[A-Z_]+/g) ?? [];
  // Fault points are for tests.
  const wanted = settings.filter((name) => !/_FAULT(_|$)/.test(name));
  expect([...new Set(told)].sort()).toEqual([...new Set(wanted)].sort());
});
