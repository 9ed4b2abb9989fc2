// A whole distribution, and two engines beside each other.
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Bed, openBed } from "../../src/index.ts";

let bed: Bed;
let other: Bed;

beforeAll(async () => {
  [bed, other] = await Promise.all([openBed(), openBed()]);
}, 300_000);

afterAll(async () => {
  await bed?.close();
  await other?.close();
}, 120_000);

it("runs Debian: users, shell, package database", async () => {
  const debian = await bed.pull("debian");
  expect(await bed.docker.must(["run", "--rm", debian, "cat", "/etc/debian_version"])).toMatch(/^12\./);
  expect(await bed.docker.must(["run", "--rm", "-u", "nobody", debian, "id", "-un"])).toBe("nobody\n");
  const listed = await bed.docker.must(["run", "--rm", debian, "dpkg-query", "-W", "-f", "$" + "{Status}", "bash"]);
  expect(listed).toBe("install ok installed");
  const written = await bed.docker.must([
    "run",
    "--rm",
    "--read-only",
    "--tmpfs",
    "/tmp",
    debian,
    "sh",
    "-c",
    "echo x > /tmp/y; cat /tmp/y",
  ]);
  expect(written).toBe("x\n");
}, 300_000);

it("runs the same name and the same port on two engines at once", async () => {
  for (const one of [bed, other]) {
    const busybox = await one.push("busybox");
    await one.docker.must(["pull", "-q", busybox]);
    await one.docker.must(["run", "-d", "--name", "twin", "-p", "8080:80", busybox, "sleep", "100"]);
  }
  for (const one of [bed, other]) {
    expect(await one.docker.must(["ps", "--format", "{{.Names}} {{.Ports}}"])).toContain("twin 0.0.0.0:8080->80/tcp");
    await one.docker.must(["rm", "-f", "twin"]);
  }
}, 120_000);
