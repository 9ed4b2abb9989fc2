// create, start, state, kill, delete, exec, pause, hooks, terminals, as the runtime-spec's lifecycle has them.
import { existsSync } from "node:fs";
import { readFile, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Bed, type Config } from "./oci-bed.ts";

let bed: Bed;
beforeAll(async () => {
  bed = await Bed.open();
});
afterAll(() => bed.close());

const sleeper = (config: Config) => {
  config.process.args = ["sleep", "100"];
};

async function waitFor(check: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await check()) return;
    await new Promise((done) => setTimeout(done, 20));
  }
  throw new Error("did not happen within 4 s");
}

describe("states", () => {
  test("created, running, paused, stopped, gone", async () => {
    await bed.write(bed.config(sleeper));
    const id = bed.id();
    const pidFile = join(bed.directory, "pid");
    expect((await bed.detached(["create", "--bundle", bed.directory, "--pid-file", pidFile, id])).code).toBe(0);
    const created = await bed.state(id);
    expect(created).toMatchObject({ id, status: "created", bundle: bed.directory });
    expect(Number(await readFile(pidFile, "utf8"))).toBe(created.pid);
    expect((await bed.cli(["delete", id])).code).toBe(1);
    expect((await bed.cli(["start", id])).code).toBe(0);
    expect((await bed.state(id)).status).toBe("running");
    expect((await bed.cli(["start", id])).code).toBe(1);
    expect((await bed.cli(["pause", id])).code).toBe(0);
    expect((await bed.state(id)).status).toBe("paused");
    expect((await bed.cli(["exec", id, "true"])).err).toContain("paused");
    expect((await bed.cli(["resume", id])).code).toBe(0);
    expect((await bed.cli(["kill", id, "KILL"])).code).toBe(0);
    await waitFor(async () => (await bed.state(id)).status === "stopped");
    expect((await bed.cli(["kill", id, "KILL"])).code).toBe(1);
    expect((await bed.cli(["delete", id])).code).toBe(0);
    expect((await bed.cli(["state", id])).err).toContain("does not exist");
  });

  test("an id is taken once, a bad one never", async () => {
    const id = await bed.start(sleeper);
    expect((await bed.cli(["create", "--bundle", bed.directory, id])).err).toContain("exists already");
    for (const bad of ["../x", "a/b", "."]) {
      const refused = await bed.cli(["create", "--bundle", bed.directory, bad]);
      expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("invalid") });
    }
    expect((await bed.state(id)).status).toBe("running");
  });

  test("a failed create leaves nothing", async () => {
    await bed.write(
      bed.config((config) => {
        config.mounts.push({ destination: "/x", type: "nosuchfs", source: "x" });
      }),
    );
    const id = bed.id();
    expect(await bed.cli(["create", "--bundle", bed.directory, id])).toMatchObject({
      code: 1,
      err: expect.stringContaining("mount nosuchfs /x"),
    });
    expect(existsSync(join(bed.directory, "state", id))).toBe(false);
  });
});

describe("exec", () => {
  test("same namespaces and cgroup, own user, environment, exit code", async () => {
    const id = await bed.start(sleeper);
    const { pid } = await bed.state(id);
    const theirs = await Promise.all(["pid", "mnt", "net"].map((name) => readlink(`/proc/${pid}/ns/${name}`)));
    const script =
      "id -u; echo $A; for n in pid mnt net; do readlink /proc/self/ns/$n; done; cat /proc/self/cgroup; exit 7";
    const result = await bed.cli(["exec", "--user", "5:6", "--env", "A=b", "--cwd", "/tmp", id, "sh", "-c", script]);
    expect(result.code).toBe(7);
    const lines = result.out.split("\n");
    expect(lines.slice(0, 5)).toEqual(["5", "b", ...theirs]);
    expect(result.out).not.toContain("berth-oci-test");
    expect((await bed.cli(["exec", id, "nope"])).code).toBe(127);
    expect((await bed.cli(["exec", id, "/etc"])).code).toBe(126);
    expect((await bed.cli(["exec", "--user", "ghost", id, "true"])).err).toContain(
      "unable to find user ghost: no matching entries in passwd file",
    );
  });

  test("a process object, stdin and a terminal", async () => {
    const id = await bed.start(sleeper);
    const file = join(bed.directory, "process.json");
    await writeFile(file, JSON.stringify({ args: ["cat"], env: ["PATH=/bin"], cwd: "/", user: { uid: 0, gid: 0 } }));
    expect(await bed.cli(["exec", "--process", file, id], "through\n")).toMatchObject({ code: 0, out: "through\n" });
    const terminal = await bed.cli(["exec", "--tty", id, "sh", "-c", "tty; exit 3"]);
    expect(terminal).toMatchObject({ code: 3, out: "/dev/pts/0\r\n" });
  });

  test("ps lists them", async () => {
    const id = await bed.start(sleeper);
    expect((await bed.detached(["exec", "--detach", id, "sleep", "50"])).code).toBe(0);
    expect(JSON.parse((await bed.cli(["ps", "--format", "json", id])).out)).toHaveLength(2);
  });
});

test("a terminal of the container's own", async () => {
  const result = await bed.run((config) => {
    config.process.terminal = true;
    config.process["consoleSize"] = { height: 11, width: 22 };
    config.process.args = ["sh", "-c", "tty; stty size; test -c /dev/console && echo console"];
  });
  expect(result).toMatchObject({ code: 0, out: "/dev/pts/0\r\n11 22\r\nconsole\r\n" });
});

test("hooks run in order with the state on stdin, each where it belongs", async () => {
  const log = join(bed.directory, "hooks.log");
  const hook = (name: string, where = log) => [
    {
      path: "/bin/sh",
      args: ["sh", "-c", `echo ${name} $(cat | grep -o '"status":"[a-z]*"') >> ${where}`],
      env: ["PATH=/bin:/usr/bin"],
    },
  ];
  const result = await bed.sh("cat /inside.log; rm /inside.log", (config) => {
    config.hooks = {
      prestart: hook("prestart"),
      createRuntime: hook("createRuntime"),
      createContainer: hook("createContainer"),
      startContainer: hook("startContainer", "/inside.log"),
      poststart: hook("poststart"),
      poststop: hook("poststop"),
    };
  });
  expect(result).toMatchObject({ code: 0, out: 'startContainer "status":"created"\n' });
  expect((await readFile(log, "utf8")).trim().split("\n")).toEqual([
    'prestart "status":"created"',
    'createRuntime "status":"creating"',
    'createContainer "status":"creating"',
    'poststart "status":"running"',
    'poststop "status":"stopped"',
  ]);
});

test("a failing or endless hook fails the create and leaves nothing", async () => {
  for (const hook of [{ path: "/bin/false" }, { path: "/bin/sleep", args: ["sleep", "60"], timeout: 1 }]) {
    const result = await bed.sh("echo ran", (config) => {
      config.hooks = { createRuntime: [hook] };
    });
    expect(result).toMatchObject({ code: 1, out: "", err: expect.stringContaining("createRuntime hook") });
  }
});

test("features and spec", async () => {
  const features = JSON.parse((await bed.cli(["features"])).out) as { linux: { namespaces: string[] } };
  expect(features.linux.namespaces).toContain("user");
  expect((await bed.cli(["--version"])).out).toContain("berth-runtime version");
});
