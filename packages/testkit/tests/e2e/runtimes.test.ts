// Containers of other OCI runtimes than the engine's own: real runc and crun, through the docker client.
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bed, eventually, findProgram, openBed } from "../../src/index.ts";

let crun: string;
let runc: string;
let bed: Bed;
let busybox: string;

beforeAll(async () => {
  crun = await programOf("crun");
  runc = await programOf("runc");
  bed = await openBed({
    env: (work) => ({
      BERTH_RUNTIMES: `real-runc=${runc},gone=/nonexistent/runtime,failing=${work}/failing one two,killing=${work}/killing`,
    }),
  });
  // Of one who creates and starts but does not say why it fails, and of one whose monitor is killed when a container has been made.
  await program("failing", "exit 3");
  await program("killing", `${crun} "$@" || exit; case " $* " in *" create "*) kill -9 $PPID;; esac`);
  busybox = await bed.pull("busybox");
}, 300_000);

afterAll(async () => {
  await bed?.close();
}, 120_000);

async function programOf(name: string): Promise<string> {
  const path = await findProgram(name);
  if (path === undefined) throw new Error(`no ${name} on PATH: these tests need the Debian package of it`);
  return path;
}

async function program(name: string, script: string): Promise<void> {
  await mkdir(bed.work, { recursive: true });
  await writeFile(join(bed.work, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(bed.work, name), 0o755);
}

/** What runtimes still know of containers. */
async function states(): Promise<string[]> {
  const root = join(bed.engine.runDir, "runtimes");
  const names = await readdir(root).catch(() => []);
  return (await Promise.all(names.map((name) => readdir(join(root, name))))).flat();
}

const inspect = async <T>(name: string) => (await bed.api.must<T>("GET", `/containers/${name}/json`)) as T;
interface Inspected {
  State: { Status: string; Pid: number; ExitCode: number; OOMKilled: boolean; Health?: { Status: string } };
  HostConfig: { Runtime: string };
  RestartCount: number;
}

describe.each(["crun", "real-runc"])("--runtime %s", (runtime) => {
  const docker = (...args: string[]) => bed.docker.run(args);
  const run = (...args: string[]) => docker("run", "--runtime", runtime, ...args);
  const box = `box-${runtime}`;

  it("runs: output, input, exit code, and the name in inspect", async () => {
    expect(await run("--rm", busybox, "sh", "-c", "echo out; echo err >&2; exit 3")).toMatchObject({
      code: 3,
      stdout: "out\n",
      stderr: "err\n",
    });
    expect(
      await bed.docker.run(["run", "--rm", "-i", "--runtime", runtime, busybox, "cat"], { input: "in\n" }),
    ).toMatchObject({ code: 0, stdout: "in\n" });
    expect((await run("-d", "--name", box, busybox, "sleep", "1000")).code).toBe(0);
    const { State, HostConfig } = await inspect<Inspected>(box);
    expect(HostConfig.Runtime).toBe(runtime);
    // The monitor is its parent: it learns of its end, with its code.
    const monitor = /^PPid:\t(\d+)$/m.exec(await readFile(`/proc/${State.Pid}/status`, "utf8"))?.[1];
    expect(await readFile(`/proc/${monitor}/comm`, "utf8")).toBe("berth-monitor\n");
  });

  it("is confined as a container of the engine's own", async () => {
    const look = [
      ...["sh", "-c"],
      'grep -E "^(Cap|NoNew|Seccomp:|Groups)" /proc/self/status; id; ulimit -n; umask; cat /proc/self/oom_score_adj; ' +
        "mount | sed 's/ type .*//; s/.* on //' | sort; ls /dev | sort; cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
    ];
    const options: string[][] = [
      [],
      ["--privileged"],
      ["-u", "7:8", "--group-add", "9"],
      [
        "--cap-drop",
        "ALL",
        "--cap-add",
        "NET_RAW",
        "--security-opt",
        "no-new-privileges",
        "--ulimit",
        "nofile=100:200",
      ],
      ["--security-opt", "seccomp=unconfined", "--oom-score-adj", "300", "--tmpfs", "/t", "--read-only"],
    ];
    for (const flags of options) {
      const own = await docker("run", "--rm", ...flags, busybox, ...look);
      const other = await run("--rm", ...flags, busybox, ...look);
      const seen = (text: string) =>
        text
          .split("\n")
          // What each runtime makes of its own accord.
          .filter((line) => !/^(Groups|core|\/dev\/console|\/sys\/fs\/cgroup\/)/.test(line))
          .join("\n");
      expect(other.code).toBe(0);
      expect(seen(other.stdout)).toBe(seen(own.stdout));
    }
  });

  it("takes execs: codes, environment, user, directory, terminal", async () => {
    const exec = await docker(
      "exec",
      "-e",
      "A=b",
      "-u",
      "5:6",
      "-w",
      "/etc",
      box,
      "sh",
      "-c",
      "echo $A; pwd; id; exit 9",
    );
    expect(exec).toMatchObject({ code: 9 });
    expect(exec.stdout).toMatch(/^b\n\/etc\nuid=5 gid=6/);
    expect(await bed.docker.run(["exec", "-i", box, "cat"], { input: "in\n" })).toMatchObject({ stdout: "in\n" });
    const terminal = bed.docker.terminal(["exec", "-it", box, "sh", "-c", "stty size; tty"]);
    let text = "";
    for await (const chunk of terminal.stdout) text += String(chunk);
    expect(text.replaceAll("\r", "")).toMatch(/30 100\n\/dev\/(pts\/0|console)\n$/);
    const missing = await docker("exec", box, "no-such");
    expect(missing.code).toBe(127);
    expect(missing.stdout + missing.stderr).toMatch(/^OCI runtime exec failed: .*no-such.* not found in \$PATH/);
    expect((await docker("exec", "-u", "nobody-here", box, "true")).stderr).toContain(
      "unable to find user nobody-here",
    );
    expect((await docker("exec", "-d", box, "sh", "-c", "touch /detached")).code).toBe(0);
    await eventually("it has run", async () => (await docker("exec", box, "ls", "/detached")).code === 0 || undefined);
  });

  it("is paused, limited, counted and looked into", async () => {
    await bed.docker.must(["pause", box]);
    expect((await inspect<Inspected>(box)).State.Status).toBe("paused");
    expect((await docker("exec", box, "true")).stderr).toContain("is paused");
    await bed.docker.must(["unpause", box]);
    await bed.docker.must(["update", "--memory", "64m", "--memory-swap", "64m", box]);
    expect(await bed.docker.must(["stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", box])).toMatch(
      /\/ 64MiB 1\n$/,
    );
    expect(await bed.docker.must(["top", box, "-eo", "pid,args"])).toContain("sleep 1000");
    await bed.docker.must(["cp", "/etc/hostname", `${box}:/copied`]);
    expect(await bed.docker.must(["exec", box, "cat", "/copied"])).toBe(await readFile("/etc/hostname", "utf8"));
    expect(await bed.docker.must(["diff", box])).toContain("A /copied");
  });

  it("stops, starts and restarts; what it has written stays", async () => {
    await bed.docker.must(["restart", "-t", "0", box]);
    expect((await docker("exec", box, "ls", "/copied")).code).toBe(0);
    await bed.docker.must(["stop", "-t", "0", box]);
    expect((await inspect<Inspected>(box)).State).toMatchObject({ Status: "exited", ExitCode: 137 });
    expect(await states()).toEqual([]);
    await bed.docker.must(["start", box]);
    await bed.docker.must(["rm", "-f", box]);
    expect(await states()).toEqual([]);
  });

  it("obeys restart policies, checks its health, and says when it ran out of memory", async () => {
    await run("-d", "--name", `${box}-again`, "--restart", "on-failure:2", busybox, "sh", "-c", "echo x; exit 3");
    await eventually("it has failed three times", async () => {
      const { State, RestartCount } = await inspect<Inspected>(`${box}-again`);
      return (State.Status === "exited" && State.ExitCode === 3 && RestartCount === 2) || undefined;
    });
    expect(await bed.docker.must(["logs", `${box}-again`])).toBe("x\nx\nx\n");
    const health = ["--health-cmd", "true", "--health-interval", "200ms"];
    await run("-d", "--name", `${box}-health`, ...health, busybox, "sleep", "1000");
    await eventually("it is healthy", async () => {
      return (await inspect<Inspected>(`${box}-health`)).State.Health?.Status === "healthy" || undefined;
    });
    const hungry = await run("--name", `${box}-oom`, "-m", "16m", busybox, "sh", "-c", "x=a; while :; do x=$x$x; done");
    expect(hungry.code).toBe(137);
    expect((await inspect<Inspected>(`${box}-oom`)).State.OOMKilled).toBe(true);
    await bed.docker.must(["rm", "-f", `${box}-again`, `${box}-health`, `${box}-oom`]);
  });

  it("joins other containers, and takes parts of volumes and images", async () => {
    await run("-d", "--name", box, "--ipc", "shareable", busybox, "sh", "-c", "echo shared > /dev/shm/f; sleep 1000");
    const joined = ["--ipc", `container:${box}`, "--pid", `container:${box}`, "--net", `container:${box}`];
    const seen = await run("--rm", ...joined, busybox, "sh", "-c", "cat /dev/shm/f; ps; hostname");
    expect(seen.stdout).toMatch(/^shared\n(?:.*\n)*.*sleep 1000/);
    const volume = `volume-${runtime}`;
    await run("--rm", "-v", `${volume}:/v`, busybox, "sh", "-c", "mkdir /v/below; echo inside > /v/below/file");
    const part = ["--mount", `type=volume,source=${volume},target=/part,volume-subpath=below`];
    expect(await run("--rm", ...part, busybox, "cat", "/part/file")).toMatchObject({ stdout: "inside\n" });
    const image = ["--mount", `type=image,source=${busybox},target=/image`];
    expect((await run("--rm", ...image, busybox, "ls", "/image/bin/sh")).stdout).toBe("/image/bin/sh\n");
    await bed.docker.must(["rm", "-f", box]);
    await bed.docker.must(["volume", "rm", volume]);
  });

  it("tells in the runtime's words what can't be run, with Docker's codes, and leaves nothing", async () => {
    const { Id } = await bed.api.must<{ Id: string }>("POST", "/containers/create", {
      Image: busybox,
      Cmd: ["no-such"],
      HostConfig: { Runtime: runtime },
    });
    const { status, json } = await bed.api.call("POST", `/containers/${Id}/start`);
    expect(status).toBe(400);
    expect((json as { message: string }).message).toMatch(
      /^failed to create task for container: failed to create shim task: OCI runtime create failed: .*no-such/,
    );
    expect((await inspect<Inspected>(Id)).State).toMatchObject({ Status: "created", ExitCode: 127 });
    expect(await states()).toEqual([]);
    await bed.docker.must(["rm", Id]);
  });

  it("runs on while the supervisor is dead, and its end is known afterwards", async () => {
    await run("-d", "--name", box, busybox, "sh", "-c", "sleep 0.5; exit 9");
    await run("-d", "--name", `${box}-on`, busybox, "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done");
    bed.engine.kill("supervisor");
    await eventually("the exit is seen", async () => {
      const state = (await docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", box)).stdout;
      return state === "exited 9\n" || undefined;
    });
    expect((await docker("exec", `${box}-on`, "echo", "here")).stdout).toBe("here\n");
    await bed.docker.must(["stop", `${box}-on`]);
    expect((await inspect<Inspected>(`${box}-on`)).State).toMatchObject({ Status: "exited", ExitCode: 5 });
    await bed.docker.must(["rm", box, `${box}-on`]);
  });

  it("ends with its monitor, and can be started again", async () => {
    await run("-d", "--name", box, busybox, "sleep", "1000");
    const { Pid } = (await inspect<Inspected>(box)).State;
    const monitor = Number(/^PPid:\t(\d+)$/m.exec(await readFile(`/proc/${Pid}/status`, "utf8"))?.[1]);
    process.kill(monitor, "SIGKILL");
    await eventually("it has ended", async () => {
      const { Status, ExitCode } = (await inspect<Inspected>(box)).State;
      return (Status === "exited" && ExitCode === 137) || undefined;
    });
    // Told first, tidied then.
    await eventually("nothing is known of it", async () => (await states()).length === 0 || undefined);
    await bed.docker.must(["start", box]);
    await bed.docker.must(["rm", "-f", box]);
  });

  it("is tidied up after when its monitor and the supervisor died together", async () => {
    await run("-d", "--name", box, busybox, "sleep", "1000");
    const { Pid } = (await inspect<Inspected>(box)).State;
    const monitor = Number(/^PPid:\t(\d+)$/m.exec(await readFile(`/proc/${Pid}/status`, "utf8"))?.[1]);
    bed.engine.kill("supervisor");
    process.kill(monitor, "SIGKILL");
    await eventually("its end is known", async () => {
      const state = (await docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", box)).stdout;
      return state === "exited 137\n" || undefined;
    });
    await eventually("its process has gone", async () => {
      const status = await readFile(`/proc/${Pid}/status`, "utf8").catch(() => "");
      if (status !== "" && !status.includes("State:\tZ")) throw new Error(status);
      return true;
    });
    await eventually("nothing is known of it", async () => (await states()).length === 0 || undefined);
    await bed.docker.must(["rm", box]);
  });
});

it("lists the runtimes that there are", async () => {
  type Info = { Runtimes: Record<string, { path: string; status?: object }>; DefaultRuntime: string };
  // A runtime that is slow to say what it can is waited for the next time.
  const { Runtimes, DefaultRuntime } = await eventually("all have said what they can", async () => {
    const info = await bed.api.must<Info>("GET", "/info");
    return info.Runtimes["runc"]?.status === undefined ? undefined : info;
  });
  expect(DefaultRuntime).toBe("runc");
  const features = { "org.opencontainers.runtime-spec.features": expect.stringMatching(/^{"ociVersionMin":/) };
  expect(Runtimes).toMatchObject({
    runc: { path: "berth-runtime", status: features },
    "io.containerd.runc.v2": { path: "berth-runtime" },
    crun: { path: crun },
    "real-runc": { path: runc },
    failing: { path: join(bed.work, "failing"), runtimeArgs: ["one", "two"] },
  });
});

it.each([
  { runtime: "nope", code: 125, text: "unknown or invalid runtime name: nope" },
  { runtime: "/usr/bin/crun", code: 125, text: "unknown or invalid runtime name: /usr/bin/crun" },
  {
    runtime: "io.containerd.kata.v2",
    code: 125,
    text:
      "failed to create task for container: failed to start shim: failed to resolve runtime path: " +
      'runtime "io.containerd.kata.v2" binary not installed "containerd-shim-kata-v2": file does not exist',
  },
  {
    runtime: "gone",
    code: 127,
    text: "log.json: no such file or directory): fork/exec /nonexistent/runtime: no such file or directory",
  },
  { runtime: "failing", code: 127, text: "failing did not terminate successfully: exit status 3" },
])("says what is wrong with --runtime $runtime", async ({ runtime, code, text }) => {
  const result = await bed.docker.run(["run", "--rm", "--runtime", runtime, busybox, "true"]);
  expect(result.stderr).toContain(text);
  expect(result.code).toBe(code);
});

it("takes away what was half made when the monitor died", async () => {
  await bed.docker.must(["create", "--name", "half", "--runtime", "killing", busybox, "sleep", "1000"]);
  const started = await bed.docker.run(["start", "half"]);
  expect(started.stderr).toContain("the monitor ended without saying whether the container started");
  expect(await states()).toEqual([]);
  // Nor is anything in the way of the next attempt.
  expect((await bed.docker.run(["start", "half"])).stderr).toContain("the monitor ended without saying");
  expect(await states()).toEqual([]);
  await bed.docker.must(["rm", "half"]);
});
