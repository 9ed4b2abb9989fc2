// docker exec as Docker does it: what is told when nothing could be run, and what follows of it.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bed, openBed } from "../../src/index.ts";

let bed: Bed;

beforeAll(async () => {
  bed = await openBed();
  const busybox = await bed.pull("busybox");
  await bed.docker.must(["run", "-d", "--name", "box", busybox, "sleep", "1000"]);
}, 300_000);

afterAll(async () => {
  await bed?.docker.must(["rm", "-f", "box"]);
  await bed?.close();
}, 120_000);

const notStarted = "OCI runtime exec failed: exec failed: unable to start container process: ";

describe("docker exec", () => {
  // Codes and texts are those of Docker 28.5.
  it.each([
    { code: 127, args: ["box", "no-such"], text: `${notStarted}exec: "no-such": executable file not found in $PATH` },
    { code: 127, args: ["box", "/no/x"], text: `${notStarted}exec: "/no/x": stat /no/x: no such file or directory` },
    { code: 126, args: ["box", "/bin"], text: `${notStarted}exec: "/bin": is a directory: permission denied` },
    {
      code: 127,
      args: ["-w", "/no", "box", "true"],
      text: `${notStarted}chdir to cwd ("/no") set in config.json failed: no such file or directory`,
    },
    {
      code: 127,
      args: ["-w", "/bin/sh", "box", "true"],
      text: `${notStarted}chdir to cwd ("/bin/sh") set in config.json failed: not a directory`,
    },
  ])("of what cannot be run gives $code: $args", async ({ code, args, text }) => {
    const result = await bed.docker.run(["exec", ...args]);
    expect(`${result.stdout}${result.stderr}`).toContain(text);
    expect(result.code).toBe(code);
  });

  it("tells of an unknown user and of a directory that is no path", async () => {
    const user = await bed.docker.run(["exec", "-u", "nobody-here", "box", "true"]);
    expect(`${user.stdout}${user.stderr}`).toContain(
      "unable to find user nobody-here: no matching entries in passwd file",
    );
    expect(user.code).not.toBe(0);
    const relative = await bed.docker.run(["exec", "-w", "no", "box", "true"]);
    expect(`${relative.stdout}${relative.stderr}`).toContain("exec failed: Cwd must be an absolute path");
    expect(relative.code).toBe(128);
  });

  it("has an exec_die only of what has lived", async () => {
    const since = String(Math.floor(Date.now() / 1000) - 1);
    await bed.docker.run(["exec", "box", "no-such"]);
    await bed.docker.run(["exec", "box", "sh", "-c", "exit 3"]);
    const until = String(Math.ceil(Date.now() / 1000) + 1);
    const events = await bed.docker.must([
      ...["events", "--since", since, "--until", until, "--filter", "container=box"],
      ...["--format", "{{.Action}} {{.Actor.Attributes.exitCode}}"],
    ]);
    const actions = events
      .split("\n")
      .filter((line) => line.startsWith("exec_"))
      .slice(-5);
    expect(actions).toEqual([
      "exec_create: no-such  <no value>",
      "exec_start: no-such  <no value>",
      "exec_create: sh -c exit 3 <no value>",
      "exec_start: sh -c exit 3 <no value>",
      "exec_die 3",
    ]);
  });

  it("that never began ends with the container's run; one that ran can still be asked about", async () => {
    const { api } = bed;
    const create = async () => (await api.must<{ Id: string }>("POST", "/containers/box/exec", { Cmd: ["true"] })).Id;
    const [unused, used] = [await create(), await create()];
    await api.must("POST", `/exec/${used}/start`, { Detach: false });
    await bed.docker.must(["restart", "-t", "0", "box"]);
    for (const [method, path] of [
      ["GET", `/exec/${unused}/json`],
      ["POST", `/exec/${unused}/start`],
      ["POST", `/exec/${unused}/resize?h=1&w=1`],
    ] as const) {
      const answer = await api.call(method, path, method === "POST" ? { Detach: true } : undefined);
      expect([answer.status, answer.json]).toEqual([404, { message: `No such exec instance: ${unused}` }]);
    }
    expect(await api.must("GET", `/exec/${used}/json`)).toMatchObject({ Running: false, ExitCode: 0 });
  });

  it("is named by inspect while it runs, and no longer", async () => {
    for (let i = 0; i < 20; i++) await bed.docker.must(["exec", "box", "true"]);
    await bed.docker.must(["exec", "-d", "box", "sleep", "1000"]);
    const ids = JSON.parse(await bed.docker.must(["inspect", "-f", "{{json .ExecIDs}}", "box"])) as string[];
    expect(ids).toHaveLength(1);
  });
});
