// The client's whole surface against a real engine.
import { randomBytes } from "node:crypto";
import { buffer, text } from "node:stream/consumers";
import { type Bed, openBed } from "@berth/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Berth, connectBerth, type PullProgress } from "../../src/index.ts";
import { tarOf } from "./tar.ts";

let bed: Bed;
let berth: Berth;
let image: string;

beforeAll(async () => {
  bed = await openBed();
  image = await bed.pull("busybox");
  berth = connectBerth(`unix://${bed.engine.runDir}/gateway.sock`);
}, 300_000);

afterAll(async () => {
  berth?.close();
  await bed?.close();
}, 120_000);

afterEach(async () => {
  for (const { id } of await berth.containers.list({ all: true })) await berth.containers.remove(id, { force: true });
});

/** One that runs this in a shell; its id. */
async function running(
  script: string,
  more: { name?: string; tty?: boolean; openStdin?: boolean } = {},
): Promise<string> {
  const { name, ...config } = more;
  const { id } = await berth.containers.create({
    name,
    image,
    config: { cmd: ["sh", "-c", script], ...config },
    hostConfig: { networkMode: "none" },
  });
  await berth.containers.start(id);
  return id;
}

describe("containers", () => {
  it("are made of their image and what is laid over it, as docker makes them", async () => {
    const { id, warnings } = await berth.containers.create({
      name: "/made",
      image,
      config: { env: ["A=b"], labels: { l: "m" }, workingDir: "/tmp/", stopSignal: "SIGUSR1" },
      hostConfig: { resources: { memory: 2 ** 26 }, restartPolicy: { name: "on-failure", maximumRetryCount: 2 } },
    });
    expect(warnings).toEqual([]);
    const docker = ["create", "--name", "dockers", "-e", "A=b", "-l", "l=m", "-w", "/tmp/", "--stop-signal", "SIGUSR1"];
    await bed.docker.must([...docker, "-m", "64m", "--restart", "on-failure:2", image]);
    const shown = async (name: string) => {
      const [one] = JSON.parse(await bed.docker.must(["inspect", name])) as { Config: object; HostConfig: object }[];
      // Named after the container; what docker's client says of itself; lists that were given and are empty.
      const {
        Hostname: _hostname,
        AttachStdout: _out,
        AttachStderr: _err,
        ...config
      } = (one?.Config ?? {}) as Record<string, unknown>;
      const { ConsoleSize: _size, ...host } = (one?.HostConfig ?? {}) as Record<string, unknown>;
      return JSON.parse(
        JSON.stringify({ config, host }, (_key, value: unknown) =>
          value !== null && typeof value === "object" && Object.keys(value).length === 0 ? null : value,
        ),
      ) as object;
    };
    expect(await shown("made")).toEqual(await shown("dockers"));
    const { name, image: named } = (await berth.containers.list({ all: true, filters: { name: ["made"] } }))[0] ?? {};
    expect({ name, named }).toEqual({ name: "made", named: image });
    expect((await berth.containers.inspect("made")).id).toBe(id);
  });

  it("say what was wrong", async () => {
    await expect(berth.containers.create({ image: "nobody:1" })).rejects.toMatchObject({ reason: "NO_SUCH_IMAGE" });
    await expect(berth.containers.start("nobody")).rejects.toMatchObject({
      reason: "NO_SUCH_CONTAINER",
      message: "No such container: nobody",
    });
    await running("sleep 100", { name: "taken" });
    await expect(berth.containers.create({ image, name: "taken" })).rejects.toMatchObject({ reason: "NAME_IN_USE" });
    await expect(berth.containers.start("taken")).rejects.toMatchObject({ reason: "NOT_MODIFIED" });
    await expect(berth.containers.inspect("taken", { signal: AbortSignal.abort() })).rejects.toMatchObject({
      reason: "CANCELLED",
    });
    await expect(berth.containers.wait("taken", "not-running", { timeoutMs: 200 })).rejects.toMatchObject({
      reason: "DEADLINE",
    });
  });

  it("with one key are made once", async () => {
    const request = { image, config: { cmd: ["true"] }, idempotencyKey: "a key" };
    const [first, second] = [await berth.containers.create(request), await berth.containers.create(request)];
    expect(second.id).toBe(first.id);
  });

  it("live and end", async () => {
    const { id } = await berth.containers.create({ image, config: { cmd: ["sh", "-c", "exit 5"] } });
    const { exit } = await berth.containers.beginWait(id, "next-exit");
    await berth.containers.start(id);
    expect(await exit).toEqual({ exitCode: 5, error: "" });
    expect(await berth.containers.wait(id)).toEqual({ exitCode: 5, error: "" });
    const other = await running("sleep 100");
    await berth.containers.pause(other);
    await berth.containers.unpause(other);
    await berth.containers.rename(other, "renamed");
    expect(await berth.containers.update("renamed", { resources: { cpuShares: 300 } })).toEqual([]);
    expect((await berth.containers.top("renamed", "-o pid,args")).rows.flat()).toContain("sleep 100");
    expect((await berth.containers.readStats("renamed")).pidsCurrent).toBeGreaterThan(0);
    const readings: number[] = [];
    for await (const { pidsCurrent } of berth.containers.stats("renamed")) if (readings.push(pidsCurrent) === 2) break;
    await berth.containers.restart("renamed", { timeout: 0 });
    await berth.containers.kill("renamed", "TERM");
    await berth.containers.stop("renamed", { timeout: 0, stopSignal: "KILL" }).catch(({ reason }) => reason);
    const gone = await berth.containers.beginWait("renamed", "removed");
    await berth.containers.remove("renamed", { force: true });
    expect((await gone.exit).exitCode).toBe(137);
  });
});

describe("streams", () => {
  it("carry input, both outputs apart, and their ends", async () => {
    const cmd = ["sh", "-c", "cat; echo bad >&2; exit 4"];
    const { id } = await berth.containers.create({ image, config: { cmd, openStdin: true, stdinOnce: true } });
    const streams = await berth.containers.attach(id, { stdin: true });
    await berth.containers.start(id);
    const sent = randomBytes(3_000_000);
    streams.stdin.end(sent);
    const [out, err] = await Promise.all([buffer(streams.stdout), text(streams.stderr)]);
    await streams.done;
    expect(out.equals(sent)).toBe(true);
    expect([err, streams.tty]).toEqual(["bad\n", false]);
    expect((await berth.containers.wait(id)).exitCode).toBe(4);
  });

  it("of a terminal are one", async () => {
    const { id } = await berth.containers.create({
      image,
      config: { cmd: ["sh", "-c", "stty size; echo x >&2"], tty: true },
    });
    const streams = await berth.containers.attach(id);
    await berth.containers.start(id);
    await berth.containers.resize(id, 33, 44).catch(() => undefined);
    expect([await text(streams.stderr), (await text(streams.stdout)).split("\r\n").at(-2)]).toEqual(["", "x"]);
    expect(streams.tty).toBe(true);
    const { stream, data } = (await Array.fromAsync(berth.containers.logs(id))).at(-1) ?? {};
    expect([stream, data?.toString().includes("x\r\n")]).toEqual(["stdout", true]);
  });

  it("of programs beside the first one", async () => {
    const id = await running("sleep 1000");
    const exec = await berth.containers.execs.run(id, {
      cmd: ["sh", "-c", "read a; echo $a $B; echo e >&2; exit 6"],
      env: ["B=c"],
      stdin: true,
    });
    exec.streams.stdin.end("in\n");
    const outputs = [text(exec.streams.stdout), text(exec.streams.stderr)];
    expect([...(await Promise.all(outputs)), await exec.exit()]).toEqual(["in c\n", "e\n", 6]);
    const deaf = await berth.containers.execs.run(id, { cmd: ["cat"] });
    expect([await text(deaf.streams.stdout), await deaf.exit()]).toEqual(["", 0]);
    const detached = await berth.containers.execs.detached(id, { cmd: ["sleep", "1000"] });
    expect(await berth.containers.execs.inspect(detached)).toMatchObject({ running: true, cmd: ["sleep", "1000"] });
    await expect(berth.containers.execs.run(id, { cmd: ["/nobody"] })).rejects.toMatchObject({
      reason: "START_FAILED",
    });
    await expect(berth.containers.execs.inspect("nobody")).rejects.toMatchObject({ reason: "NO_SUCH_EXEC" });
  });

  it("end when their caller leaves, with CANCELLED", async () => {
    const id = await running("while true; do echo line; done");
    const leaving = new AbortController();
    const streams = await berth.containers.attach(id, {}, { signal: leaving.signal });
    const reading = text(streams.stdout);
    reading.catch(() => undefined);
    leaving.abort();
    await expect(reading).rejects.toMatchObject({ reason: "CANCELLED" });
    await expect(streams.done).rejects.toMatchObject({ reason: "CANCELLED" });
    // Without anybody who listens for an error nothing happens either.
    (await berth.containers.attach(id)).close();
    const logs = Array.fromAsync(
      berth.containers.logs(id, { follow: true, tail: 0, signal: AbortSignal.timeout(300) }),
    );
    await expect(logs).rejects.toMatchObject({ reason: "CANCELLED" });
  });

  it("of a log, from wherever it is asked", async () => {
    const id = await running("for i in 1 2 3; do echo out$i; echo err$i >&2; done");
    await berth.containers.wait(id);
    const read = async (query: Parameters<Berth["containers"]["logs"]>[1]) => {
      const outputs = { stdout: "", stderr: "" };
      for await (const { stream, data } of berth.containers.logs(id, query)) outputs[stream] += data.toString();
      return outputs;
    };
    expect(await read({})).toEqual({ stdout: "out1\nout2\nout3\n", stderr: "err1\nerr2\nerr3\n" });
    expect(await read({ follow: true, stderr: false })).toEqual({ stdout: "out1\nout2\nout3\n", stderr: "" });
    expect((await read({ tail: 1, stdout: false })).stderr).toBe("err3\n");
    expect((await read({ timestamps: true, tail: 1, stdout: false })).stderr).toMatch(/^\d{4}-\S+Z err3\n$/);
    expect(await read({ since: new Date(Date.now() + 60_000) })).toEqual({ stdout: "", stderr: "" });
    expect(await read({ until: 1n })).toEqual({ stdout: "", stderr: "" });
  });
});

describe("files", () => {
  it("go in and come out", async () => {
    const id = await running("sleep 1000");
    const { files } = berth.containers;
    const content = randomBytes(5_000_001);
    await files.copyIn(id, "/tmp", [tarOf("thing", content)]);
    expect(await files.stat(id, "/tmp/thing")).toMatchObject({
      name: "thing",
      size: content.length,
      mtime: new Date(1.7e12),
    });
    const { stat, tar } = await files.copyOut(id, "/tmp/thing");
    const got = await buffer(tar);
    expect([stat.size, got.subarray(512, 512 + content.length).equals(content)]).toEqual([content.length, true]);
    expect(await files.changes(id)).toContainEqual({ kind: "added", path: "/tmp/thing" });
    expect((await buffer(files.export(id))).length).toBeGreaterThan(content.length);
    const made = await files.commit(id, { reference: "committed:1", comment: "c" });
    expect((await berth.images.inspect("committed:1")).id).toBe(made);
    await expect(files.stat(id, "/nobody")).rejects.toMatchObject({ reason: "NOT_FOUND" });
    await expect(files.copyIn(id, "/nobody", [tarOf("a", content)])).rejects.toMatchObject({ reason: "NOT_FOUND" });
    await expect(buffer(files.export("nobody"))).rejects.toMatchObject({ reason: "NO_SUCH_CONTAINER" });
    await expect(files.copyIn(id, "/tmp", failing())).rejects.toThrow("the source broke");
    await berth.images.remove("committed:1");
  });

  async function* failing() {
    yield tarOf("a", Buffer.alloc(100)).subarray(0, 100);
    throw new Error("the source broke");
  }
});

describe("images", () => {
  it("are pulled, with progress", async () => {
    const seen: PullProgress[] = await Array.fromAsync(berth.images.pull(image));
    expect(seen[0]).toMatchObject({ kind: "resolved", tag: "latest" });
    expect(seen.at(-1)).toMatchObject({
      kind: "done",
      changed: false,
      imageId: (await berth.images.inspect(image)).id,
    });
    await expect(Array.fromAsync(berth.images.pull(`${bed.registry}/nobody`))).rejects.toMatchObject({
      reason: expect.stringMatching(/^(NO_SUCH_IMAGE|NOT_FOUND)$/),
    });
  });

  it("are named, listed, moved and removed", async () => {
    const id = await berth.images.tag(image, "named:1");
    expect((await berth.images.list({ filters: { reference: ["named"] } })).map((one) => one.id)).toEqual([id]);
    const steps = await berth.images.history("named:1");
    expect(steps.reduce((sum, { size }) => sum + size, 0)).toBeGreaterThan(100_000);
    const archive = await buffer(berth.images.save(["named:1"]));
    expect(await berth.images.remove("named:1")).toEqual({ untagged: ["named:1"], deleted: [] });
    expect(await berth.images.load([archive])).toEqual(["Loaded image: named:1"]);
    const made = await berth.images.import([tarOf("file", Buffer.from("x"))], {
      reference: "flat:1",
      config: { Cmd: ["x"] },
    });
    expect((await berth.images.inspect("flat:1")).id).toBe(made);
    for (const name of ["named:1", "flat:1"]) await berth.images.remove(name);
    await expect(berth.images.inspect("flat:1")).rejects.toMatchObject({ reason: "NO_SUCH_IMAGE" });
    await expect(berth.images.load([Buffer.from("rubbish")])).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
  });

  it("are kept while containers need them, as the gateway knows of all nodes", async () => {
    await berth.images.import([await buffer(berth.containers.files.export(await running("true")))], {
      reference: "used:1",
    });
    const { id } = await berth.containers.create({ image: "used:1", config: { cmd: ["sleep", "1000"] } });
    await berth.containers.start(id);
    await expect(berth.images.remove("used:1")).rejects.toMatchObject({
      reason: expect.stringMatching(/^(CONFLICT|IN_USE)$/),
    });
    await berth.containers.remove(id, { force: true });
    expect((await berth.images.remove("used:1")).untagged).toEqual(["used:1"]);
  });
});

it("volumes, networks and nodes", async () => {
  const made = await berth.volumes.create({ name: "v1", labels: { a: "b" } });
  expect(await berth.volumes.inspect("v1")).toEqual(made);
  expect((await berth.volumes.list({ label: ["a=b"] })).map(({ name }) => name)).toEqual(["v1"]);
  const { id } = await berth.containers.create({ image, hostConfig: { binds: ["v1:/data"] } });
  await expect(berth.volumes.remove("v1")).rejects.toMatchObject({ reason: "IN_USE" });
  await berth.containers.remove(id);
  await berth.volumes.remove("v1");
  await berth.volumes.remove("v1", { force: true });
  await berth.volumes.create({ name: "v2" });
  expect((await berth.volumes.prune({ all: ["true"] })).names).toEqual(["v2"]);
  expect((await berth.networks.list()).map(({ name }) => name).sort()).toEqual(["bridge", "host", "none"]);
  const [node] = await berth.nodes.list();
  expect(node).toMatchObject({ state: "ready", capacity: { cpus: expect.any(Number) } });
  expect(node?.services.map(({ role }) => role)).toContain("supervisor");
  expect((await berth.nodes.inspect(node?.name ?? "")).id).toBe(node?.id);
  await expect(berth.nodes.inspect("nobody")).rejects.toMatchObject({ reason: "NOT_FOUND" });
});

it("wants addresses", () => {
  expect(() => connectBerth([])).toThrow("no address");
  const odd = connectBerth("nonsense");
  return expect(odd.nodes.list())
    .rejects.toMatchObject({ reason: "INVALID_ARGUMENT" })
    .finally(() => odd.close());
});
