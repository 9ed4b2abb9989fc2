// Health, init, restart policies and limits as the docker client sees them.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bed, eventually, openBed } from "../../src/index.ts";

let bed: Bed;
let busybox: string;

beforeAll(async () => {
  bed = await openBed();
  busybox = await bed.pull("busybox");
}, 300_000);

afterAll(async () => {
  await bed?.close();
}, 120_000);

const docker = (...args: string[]) => bed.docker.must(args);
const format = async (name: string, template: string) => (await docker("inspect", "--format", template, name)).trim();

describe("health checks", () => {
  it("are shown by ps, inspect, filters and events", async () => {
    const check = ["--health-cmd", "test -f /well", "--health-interval", "100ms", "--health-retries", "1"];
    await docker("run", "-d", "--name", "sick", ...check, busybox, "sleep", "1000");
    await eventually(
      "it is unhealthy",
      async () => (await format("sick", "{{.State.Health.Status}}")) === "unhealthy" || undefined,
    );
    expect(await docker("ps", "--filter", "health=unhealthy", "--format", "{{.Names}} {{.Status}}")).toMatch(
      /^sick Up .* \(unhealthy\)\n$/,
    );
    await docker("exec", "sick", "sh", "-c", "echo > /well");
    await eventually(
      "it is healthy",
      async () => (await format("sick", "{{.State.Health.Status}}")) === "healthy" || undefined,
    );
    expect(await format("sick", "{{.State.Health.FailingStreak}} {{len .State.Health.Log}}")).toMatch(/^0 [1-5]$/);
    expect(await docker("ps", "--format", "{{.Status}}")).toMatch(/^Up .* \(healthy\)\n$/);
    const actions = await docker(
      "events",
      "--since",
      "1h",
      "--until",
      // A whole second: the one that runs is not over.
      String(Math.ceil(Date.now() / 1000)),
      "--filter",
      "event=health_status",
      "--format",
      "{{.Action}}",
    );
    expect(actions).toBe("health_status: unhealthy\nhealth_status: healthy\n");
    await docker("rm", "-f", "sick");
  });

  it("are switched off, and refused when they make no sense", async () => {
    await docker("run", "-d", "--name", "none", "--no-healthcheck", busybox, "sleep", "1000");
    expect(await format("none", "{{json .Config.Healthcheck}} {{json .State.Health}}")).toBe('{"Test":["NONE"]} null');
    await docker("rm", "-f", "none");
    const refused = await bed.docker.run(["create", "--health-cmd", "x", "--health-interval", "500us", busybox, "x"]);
    expect(refused.stderr).toContain("Interval in Healthcheck cannot be less than 1ms");
  });
});

describe("an init", () => {
  it("is the first process", async () => {
    await docker("run", "-d", "--name", "inited", "--init", busybox, "sleep", "1000");
    expect(await docker("top", "inited", "-o", "pid,args")).toContain("/sbin/docker-init -- sleep 1000");
    expect(await format("inited", "{{.HostConfig.Init}} {{.Path}} {{.Args}}")).toBe("true sleep [1000]");
    // A plain sleep as first process would not hear this.
    await docker("stop", "-t", "20", "inited");
    expect(await format("inited", "{{.State.ExitCode}}")).toBe("143");
    await docker("rm", "inited");
  });
});

describe("restart policies", () => {
  it("on-failure gives up after its count", async () => {
    await docker("run", "-d", "--name", "again", "--restart", "on-failure:2", busybox, "sh", "-c", "exit 3");
    await eventually(
      "it has given up",
      async () => (await format("again", "{{.State.Status}} {{.RestartCount}}")) === "exited 2" || undefined,
    );
    expect(await format("again", "{{.State.ExitCode}}")).toBe("3");
    await docker("update", "--restart", "always", "again");
    expect(await format("again", "{{.HostConfig.RestartPolicy.Name}}")).toBe("always");
    await docker("rm", "-f", "again");
  });

  it("--rm outlives a restart and holds at the end", async () => {
    await docker("run", "-d", "--rm", "--name", "once", busybox, "sleep", "1000");
    await docker("restart", "-t", "0", "once");
    expect(await format("once", "{{.State.Running}}")).toBe("true");
    const refused = await bed.docker.run(["update", "--restart", "always", "once"]);
    expect(refused.stderr).toContain(
      "Restart policy cannot be updated because AutoRemove is enabled for the container",
    );
    await docker("stop", "-t", "0", "once");
    await eventually("it is gone", async () => (await docker("ps", "-aq")) === "" || undefined);
  });
});

describe("limits and counters", () => {
  it("update changes what the container sees, stats tell of it", async () => {
    await docker(
      "run",
      "-d",
      "--name",
      "fed",
      "-m",
      "64m",
      "--pids-limit",
      "20",
      busybox,
      "sh",
      "-c",
      "while :; do :; done",
    );
    await docker("update", "-m", "96m", "--memory-swap", "200m", "--cpus", "0.25", "fed");
    const line = await docker(
      "stats",
      "--no-stream",
      "--format",
      "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}",
      "fed",
    );
    const [, cpu = "0", limit, pids] = /^fed ([\d.]+)% [\d.]+[KM]iB \/ (\S+) (\d+)$/.exec(line.trim()) ?? [];
    expect(limit).toBe("96MiB");
    expect(pids).toBe("1");
    // A busy loop under a quarter of a processor.
    expect(Number(cpu)).toBeGreaterThan(5);
    expect(Number(cpu)).toBeLessThan(50);
    const aux = await docker("top", "fed", "aux");
    expect(aux).toMatch(/^USER +PID +%CPU/);
    await docker("rm", "-f", "fed");
    const empty = await docker("create", "--name", "idle", busybox, "true");
    expect(empty).not.toBe("");
    expect(await docker("stats", "--no-stream", "--format", "{{.CPUPerc}} {{.MemUsage}}", "idle")).toBe(
      "0.00% 0B / 0B\n",
    );
    await docker("rm", "idle");
  });
});
