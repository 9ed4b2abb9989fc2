import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { type Bed, openBed } from "@berth/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/**
 * The whole engine's answers beside Docker 28.5's: the shapes were recorded from it (testdata). Where a Docker engine
 * is at hand (BERTH_TEST_PEER names its socket) the same calls are asked of both, and statuses and messages compared.
 */
type Shape = string | Shape[] | { [key: string]: Shape };

const recorded = JSON.parse(
  readFileSync(join(import.meta.dirname, "../testdata/docker-28.5-shapes.json"), "utf8"),
) as Record<string, Shape>;

/** What Docker has and this engine, by design, does not. */
const absent = new Set([
  "stats.cpu_stats.cpu_usage.percpu_usage",
  "stats.precpu_stats.cpu_usage.percpu_usage",
  "stats.memory_stats.max_usage",
  "stats.networks.eth0",
  "inspect.NetworkSettings.Ports.80/tcp",
  "inspect.HostConfig.PortBindings.80/tcp",
]);

/** Fields of the recorded shape that an answer lacks, or has with another type. null and empty stand for anything. */
function differences(path: string, wanted: Shape, value: unknown): string[] {
  if (absent.has(path) || wanted === "null" || value === null) return [];
  if (typeof wanted === "string")
    return typeof value === wanted ? [] : [`${path}: ${typeof value} instead of ${wanted}`];
  if (Array.isArray(wanted)) {
    if (!Array.isArray(value)) return [`${path}: not a list`];
    const [item] = wanted;
    return item === undefined || value.length === 0 ? [] : differences(`${path}[]`, item, value[0]);
  }
  if (typeof value !== "object" || Array.isArray(value)) return [`${path}: not an object`];
  const object = value as Record<string, unknown>;
  return Object.entries(wanted).flatMap(([key, shape]) => {
    const at = `${path}.${key}`;
    if (absent.has(at)) return [];
    return key in object ? differences(at, shape, object[key]) : [`${at}: missing`];
  });
}

function statusAndMessage(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<[number, unknown]> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers =
    text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
  return new Promise((resolve, reject) => {
    const req = request({ socketPath, method, path, headers, agent: new Agent() }, (res) => {
      let seen = "";
      res.on("data", (chunk: Buffer) => {
        seen += chunk.toString();
      });
      res.on("end", () => {
        const { message } = (seen.startsWith("{") ? JSON.parse(seen) : {}) as { message?: string };
        resolve([res.statusCode ?? 0, message ?? null]);
      });
    });
    req.on("error", reject);
    req.end(text);
  });
}

describe("an engine's answers", () => {
  let bed: Bed;
  let image: string;
  let id: string;

  beforeAll(async () => {
    bed = await openBed();
    image = await bed.pull("busybox");
    id = await bed.docker.must(["run", "-d", "--name", "web", "-p", "8080:80", "-e", "A=b", image, "sleep", "1000"]);
    id = id.trim();
  });
  afterAll(() => bed?.close());

  it.each([
    ["version", "/version"],
    ["info", "/info"],
    ["inspect", "/containers/web/json"],
    ["network", "/networks/bridge"],
    ["top", "/containers/web/top"],
    ["stats", "/containers/web/stats?stream=0"],
    ["df", "/system/df"],
  ])("%s has all that Docker's has", async (name, path) => {
    expect(differences(name, recorded[name] as Shape, await bed.api.must("GET", path))).toEqual([]);
  });

  it.each([
    ["containers", "/containers/json"],
    ["images", "/images/json"],
  ])("the first of %s has all that Docker's has", async (name, path) => {
    const [first] = await bed.api.must<unknown[]>("GET", path);
    expect(differences(name, recorded[name] as Shape, first)).toEqual([]);
  });

  it("images, their history, execs and created containers have all that Docker's have", async () => {
    const found = await bed.api.must("GET", `/images/${image}/json`);
    expect(differences("image", recorded["image"] as Shape, found)).toEqual([]);
    const [step] = await bed.api.must<unknown[]>("GET", `/images/${image}/history`);
    expect(differences("history", recorded["history"] as Shape, step)).toEqual([]);
    const { Id } = await bed.api.must<{ Id: string }>("POST", "/containers/web/exec", { Cmd: ["true"], User: "0" });
    expect(differences("exec", recorded["exec"] as Shape, await bed.api.must("GET", `/exec/${Id}/json`))).toEqual([]);
    await bed.docker.must(["create", "--name", "created", "-it", image, "sh"]);
    const created = await bed.api.must("GET", "/containers/created/json");
    expect(differences("inspectCreated", recorded["inspectCreated"] as Shape, created)).toEqual([]);
    await bed.docker.must(["rm", "created"]);
  });

  it("events have the fields of every version", async () => {
    const until = Math.ceil(Date.now() / 1000);
    const { text } = await bed.api.call("GET", `/events?since=0&until=${until}`);
    const events = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const start = events.find((event) => event["status"] === "start" && event["id"] === id);
    expect(differences("eventContainer", recorded["eventContainer"] as Shape, start)).toEqual([]);
  });

  it("docker's own words for what is wrong", async () => {
    const socket = bed.engine.socket;
    const container = (body: unknown) => statusAndMessage(socket, "POST", "/containers/create", body);
    expect(await container({ Image: "nope" })).toEqual([404, "No such image: nope:latest"]);
    expect(await container({ Image: image, HostConfig: { Memory: 1 } })).toEqual([
      400,
      "Minimum memory limit allowed is 6MB",
    ]);
    expect(await statusAndMessage(socket, "POST", "/containers/create?name=web", { Image: image })).toEqual([
      409,
      `Conflict. The container name "/web" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
    ]);
    expect(await statusAndMessage(socket, "POST", "/containers/web/start")).toEqual([304, null]);
    expect(await statusAndMessage(socket, "DELETE", "/containers/web")).toEqual([
      409,
      'cannot remove container "web": container is running: stop the container before removing or force remove',
    ]);
    expect(await statusAndMessage(socket, "GET", "/containers/nope/json")).toEqual([404, "No such container: nope"]);
    expect(await statusAndMessage(socket, "GET", "/exec/nope/json")).toEqual([404, "No such exec instance: nope"]);
  });

  const peer = process.env["BERTH_TEST_PEER"];
  it.runIf(peer !== undefined)("and both engines say the same (BERTH_TEST_PEER)", async () => {
    const calls: [string, string, unknown?][] = [
      ["GET", "/nothing"],
      ["GET", "/containers/nope/json"],
      ["POST", "/containers/nope/start"],
      ["POST", "/containers/nope/wait"],
      ["GET", "/containers/nope/logs?stdout=1"],
      ["GET", "/containers/nope/stats"],
      ["POST", "/containers/nope/exec", { Cmd: ["x"] }],
      ["POST", "/containers/create", { Image: "nope" }],
      ["POST", "/containers/create", {}],
      ["POST", "/containers/create?name=-x", { Image: "nope" }],
      ["GET", "/images/nope/json"],
      ["GET", "/images/UP/json"],
      ["DELETE", "/images/nope"],
      ["POST", "/images/nope/tag?repo=x"],
      ["POST", "/images/nope/tag?repo=UP"],
      ["GET", "/networks/nope"],
      ["DELETE", "/networks/bridge"],
      ["GET", "/volumes/nope"],
      ["GET", "/nodes"],
      ["GET", "/containers/json?filters=xx"],
      ["GET", '/containers/json?filters={"foo":["x"]}'],
    ];
    for (const [method, path, body] of calls) {
      const [ours, theirs] = await Promise.all(
        [bed.engine.socket, peer as string].map((socket) => statusAndMessage(socket, method, encodeURI(path), body)),
      );
      expect({ call: `${method} ${path}`, answer: ours }).toEqual({ call: `${method} ${path}`, answer: theirs });
    }
  });
});
