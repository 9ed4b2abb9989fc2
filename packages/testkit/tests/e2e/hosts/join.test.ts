// A second host joins: its containers are run, watched and fed through the first one's gateway, as if they were there.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Docker, ended, eventually, type Host, type Hosts, openHosts } from "../../../src/index.ts";

let hosts: Hosts;
let first: Host;
let second: Host;
let docker: Docker;
let busybox: string;

beforeAll(async () => {
  hosts = await openHosts(2);
  [first, second] = hosts.all as [Host, Host];
  busybox = await hosts.pushBusybox();
  // No supervisor here: every container is the second host's.
  await first.start({
    args: ["--advertise", first.address],
    services: ["image-store", "registry-proxy", "gateway"],
  });
  await second.start({ args: ["--join", await first.token()], services: ["snapshotter", "supervisor"] });
  docker = first.docker;
}, 120_000);

afterAll(async () => {
  await hosts?.close();
}, 120_000);

it("pulls through one host and runs on the other", async () => {
  await docker.must(["pull", "-q", busybox]);
  expect(await docker.must(["run", "--rm", busybox, "ip", "-o", "link", "show", "eth0"])).toContain("eth0");
});

it("carries standard input, both outputs and the exit code", async () => {
  const big = "0123456789abcdef\n".repeat(200_000);
  const echoed = await docker.run(["run", "--rm", "-i", busybox, "sh", "-c", "cat; echo end >&2; exit 7"], {
    input: big,
  });
  expect(echoed.stdout.length).toBe(big.length);
  expect(echoed).toMatchObject({ code: 7, stdout: big, stderr: "end\n" });
});

it("attaches, executes, reads logs, copies both ways and waits", async () => {
  await docker.must(["run", "-d", "--name", "far", busybox, "sh", "-c", "echo one; cat /tmp/go 2>&1; sleep 600"]);
  const logs = docker.start(["logs", "-f", "far"]);
  let read = "";
  logs.stdout.on("data", (chunk: Buffer) => {
    read += chunk.toString();
  });
  await eventually("the log comes", () => read.includes("No such file") || undefined);
  expect(
    await docker.must(["exec", "-i", "far", "sh", "-c", "cat > /tmp/in; wc -c < /tmp/in"], { input: "12345" }),
  ).toBe("5\n");
  const file = join(hosts.work, "there");
  await writeFile(file, "x".repeat(3_000_000));
  await docker.must(["cp", file, "far:/tmp/there"]);
  await docker.must(["cp", "far:/tmp/there", `${file}.back`]);
  expect((await readFile(`${file}.back`)).length).toBe(3_000_000);
  expect(await docker.must(["top", "far", "-o", "pid,args"])).toContain("sleep 600");
  const waiting = docker.start(["wait", "far"]);
  let code = "";
  waiting.stdout.on("data", (chunk: Buffer) => {
    code += chunk.toString();
  });
  await docker.must(["kill", "far"]);
  await ended(waiting);
  expect(code).toBe("137\n");
  await ended(logs);
  await docker.must(["rm", "far"]);
});

it("has a terminal on the other host", async () => {
  const child = docker.terminal(["run", "--rm", "-it", busybox, "sh"]);
  let screen = "";
  child.stdout.on("data", (chunk: Buffer) => {
    screen += chunk.toString();
  });
  await eventually("a prompt", () => screen.includes("#") || undefined);
  child.stdin.write("tty; exit 5\n");
  const [code] = await ended(child);
  expect(code).toBe(5);
  expect(screen).toContain("/dev/pts/");
});

it("starts again on both hosts without a token, and finds its containers", async () => {
  await docker.must(["run", "-d", "--name", "stays", busybox, "sleep", "600"]);
  await second.stop();
  await first.stop();
  // Neither is told anything: what was said once is kept.
  await first.start();
  await second.start();
  await eventually("the container is seen", async () => {
    const { stdout } = await docker.run(["ps", "--format", "{{.Names}}"]);
    return stdout === "stays\n" || undefined;
  });
  await docker.must(["rm", "-f", "stays"]);
  await expect(readFile(join(second.root, "identity/joining.json"), "utf8")).resolves.toBe("[]");
});
