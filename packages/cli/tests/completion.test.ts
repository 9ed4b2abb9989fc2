import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { commandTree } from "../src/commands/completion.ts";
import { bashCompletion } from "../src/completion/bash.ts";
import { fishCompletion } from "../src/completion/fish.ts";
import { zshCompletion } from "../src/completion/zsh.ts";

const tree = await commandTree();

/** What bash would offer at the end of a line. */
function offered(line: string): string[] {
  const words = line.split(" ");
  const script = `${bashCompletion(tree)}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")})
COMP_CWORD=${words.length - 1}
_berth
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync("bash", ["--norc", "-c", script], { encoding: "utf8" });
  expect([status, stderr]).toEqual([0, ""]);
  return stdout.split("\n").filter(Boolean);
}

describe("completion in bash", () => {
  it("offers commands and groups, then what a group has", () => {
    expect(offered("berth ")).toEqual(expect.arrayContaining(["run", "container", "search", "completion"]));
    expect(offered("berth sys")).toEqual(["system"]);
    expect(offered("berth system ").sort()).toEqual(["df", "events", "info", "prune"]);
    expect(offered("berth -H unix:///x ps --fil")).toEqual(["--filter"]);
  });

  it("offers every flag of every command", () => {
    for (const { path, flags } of tree.leaves) {
      const line = `berth ${path.join(" ")} --`;
      expect(offered(line), line).toEqual(flags.map(({ name }) => `--${name}`));
    }
  }, 60_000);

  it("offers no flag where a flag's value belongs", () => {
    expect(offered("berth run --name -")).toEqual([]);
  });
});

describe("completion in zsh and fish", () => {
  it("names every command and flag", () => {
    const zsh = zshCompletion(tree);
    const fish = fishCompletion(tree);
    for (const { path, flags } of tree.leaves) {
      expect(zsh).toContain(`'${path.join(" ")}') flags=(`);
      for (const { name } of flags) {
        expect(zsh).toContain(`--${name}`);
        expect(fish).toContain(`__berth_at "${path.join(" ")}"' -l ${name}`);
      }
    }
  });

  it("quotes what a shell would take for its own", () => {
    // Both read single-quoted words; an odd number of quotes would be a script that does not end.
    for (const script of [zshCompletion(tree), fishCompletion(tree)]) {
      for (const line of script.split("\n"))
        expect((line.replaceAll("'\\''", "").match(/'/g) ?? []).length % 2, line).toBe(0);
    }
  });
});
