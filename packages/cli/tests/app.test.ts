import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { commands, groups } from "../src/commands/index.ts";
import { commandHelp } from "../src/help.ts";

const entry = join(import.meta.dirname, "../src/main.ts");
const berth = (args: string[], env: Record<string, string> = {}) =>
  spawnSync(process.execPath, [entry, ...args], { encoding: "utf8", env: { PATH: process.env["PATH"] ?? "", ...env } });

describe("every command", () => {
  const all = [
    ...Object.entries(commands),
    ...Object.values(groups).flatMap((group) => Object.entries(group.commands)),
  ];
  it.each(all)("%s has help with examples", async (_name, { load }) => {
    const { default: command } = await load();
    const help = commandHelp(command);
    expect(help).toContain(`Usage:  berth ${command.usage}`);
    expect(command.examples.length).toBeGreaterThan(0);
    expect(new Set(command.flags.map(({ name }) => name)).size).toBe(command.flags.length);
    const shorts = command.flags.flatMap(({ short }) => short ?? []);
    expect(new Set(shorts).size).toBe(shorts.length);
  });
});

describe("the process", () => {
  it("says what it does not know", () => {
    expect(berth(["nope"])).toMatchObject({
      status: 1,
      stderr: 'berth: "nope" is not a berth command.\nSee "berth --help".\n',
    });
    expect(berth(["ps", "--nope"]).stderr).toContain("unknown flag: --nope");
    expect(berth(["rename", "a"])).toMatchObject({ status: 1 });
  });
  it("needs no engine for help and its own version", () => {
    expect(berth(["--help"]).stdout).toContain("Usage:  berth");
    expect(berth(["version", "--client"]).stdout).toContain("Version:");
    expect(berth(["image"]).stdout).toContain("Work with images");
  });
  it("ends with 125 when run finds no engine, with 1 elsewhere", () => {
    const env = { BERTH_HOST: "unix:///nonexistent/berth.sock" };
    expect(berth(["run", "busybox"], env)).toMatchObject({ status: 125 });
    expect(berth(["ps"], env).stderr).toContain("Cannot connect to the engine at unix:///nonexistent/berth.sock");
  });
});

describe("against an engine that answers by heart", () => {
  const dir = mkdtempSync(join(tmpdir(), "berth-cli-"));
  const socket = join(dir, "s");
  let server: Server;
  beforeAll(async () => {
    server = createServer((req, res) => {
      const answers: Record<string, unknown> = {
        "/containers/json": [
          {
            Id: "9c8aaa35662a22e1",
            Names: ["/web"],
            Image: "busybox",
            Command: "sleep 1000",
            Created: 0,
            Labels: {},
            State: "running",
            Status: "Up 5 seconds",
            Mounts: [],
            NetworkSettings: { Networks: { bridge: {} } },
            Ports: [{ IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp" }],
          },
        ],
      };
      const answer = answers[(req.url ?? "").split("?")[0] ?? ""];
      res.writeHead(answer === undefined ? 404 : 200, { "content-type": "application/json" });
      res.end(JSON.stringify(answer ?? { message: `No such container: ${req.url}` }));
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
  });
  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve));
    rmSync(dir, { recursive: true, force: true });
  });
  // The engine is in this process, so the command must not block it.
  const run = async (...args: string[]) => {
    const { spawn } = await import("node:child_process");
    const child = spawn(process.execPath, [entry, "-H", `unix://${socket}`, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const status = await new Promise((resolve) => child.once("close", resolve));
    return { status, stdout, stderr };
  };
  it("lists", async () => {
    const { stdout } = await run("ps", "--format", "{{.ID}} {{.Names}} {{.Ports}}");
    expect(stdout).toBe("9c8aaa35662a web 0.0.0.0:8080->80/tcp\n");
    expect((await run("ps", "-q")).stdout).toBe("9c8aaa35662a\n");
  });
  it("passes the engine's words on", async () => {
    expect(await run("rm", "x")).toMatchObject({
      status: 1,
      stderr: "Error response from engine: No such container: /containers/x\n",
    });
  });
});
