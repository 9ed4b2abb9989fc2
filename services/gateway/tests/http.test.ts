import type { Bus } from "@berth/bus";
import { BerthError } from "@berth/errors";
import { createLogger } from "@berth/log";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Containers } from "../src/domain/containers.ts";
import { EventFeed } from "../src/domain/events.ts";
import { Images } from "../src/domain/images.ts";
import { Moves } from "../src/domain/moves/moves.ts";
import { NodeAdministration } from "../src/domain/nodes/administration.ts";
import { Nodes } from "../src/domain/nodes/nodes.ts";
import { Volumes } from "../src/domain/volumes.ts";
import { addRoutes } from "../src/routes/index.ts";
import { TestGateway } from "./support.ts";

/** A bus on which nobody is: what a gateway sees that starts before everything else. */
const emptyBus = {
  connected: true,
  instances: () => [],
  nodes: { follow: () => undefined },
  names: { follow: () => undefined },
  onInstances: () => () => {},
  waitFor: () => Promise.reject(new BerthError("UNAVAILABLE", "nobody comes")),
  async *events() {},
} as unknown as Bus;

const unreachable = new Proxy(
  {},
  { get: () => () => Promise.reject(new BerthError("UNAVAILABLE", "no image-store is running")) },
);

describe("the Engine API without any service behind it", () => {
  const gateway = new TestGateway();
  const json = { "content-type": "application/json" };

  beforeAll(async () => {
    const log = createLogger({ service: "test", level: "silent" });
    const nodes = new Nodes({ bus: emptyBus, hostId: "h", connect: () => unreachable as never, log });
    const images = new Images({ store: unreachable as never, snapshotter: () => undefined, bus: emptyBus });
    const containers = new Containers({ nodes, images, nodesOfVolume: () => Promise.resolve([]), log });
    const feed = new EventFeed({ bus: emptyBus, log, signal: new AbortController().signal });
    const parts = {
      log,
      bus: emptyBus,
      containers,
      images,
      feed,
      registry: unreachable as never,
      snapshotterSoon: async () => undefined,
      volumes: new Volumes({ nodes, connect: () => unreachable as never }),
    };
    const nodeAdministration = new NodeAdministration(emptyBus);
    const moves = new Moves({
      containers: parts.containers,
      administration: nodeAdministration,
      connect: () => ({}) as never,
    });
    const own = { authority: undefined, hostId: "h", nodeAdministration, moves, builtAt: new Date() };
    addRoutes(gateway.api, { ...parts, ...own });
    await gateway.open();
  });
  afterAll(() => gateway.close());

  it("pings with Docker's headers", async () => {
    const answer = await gateway.call("GET", "/_ping");
    expect(answer).toMatchObject({ status: 200, text: "OK" });
    expect(answer.headers).toMatchObject({
      "api-version": "1.51",
      "builder-version": "2",
      "cache-control": "no-cache, no-store, must-revalidate",
      "content-length": "2",
      "content-type": "text/plain; charset=utf-8",
      "docker-experimental": "false",
      ostype: "linux",
      pragma: "no-cache",
      swarm: "inactive",
    });
    expect(answer.headers["server"]).toMatch(/^Docker\/.+\s\(linux\)$/);
    expect(await gateway.call("HEAD", "/v1.24/_ping")).toMatchObject({ status: 200, text: "" });
  });

  it("negotiates versions", async () => {
    expect(await gateway.call("GET", "/v1.23/version")).toMatchObject({
      status: 400,
      text: "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version\n",
    });
    expect(await gateway.call("GET", "/v1.99/version")).toMatchObject({
      status: 400,
      text: '{"message":"client version 1.99 is too new. Maximum supported API version is 1.51"}\n',
    });
    expect((await gateway.call("GET", "/v1.24/version")).status).toBe(200);
  });

  it.each([
    ["GET", "/nothing", 404, "page not found"],
    ["PUT", "/version", 404, "page not found"],
    ["GET", "/vfoo/version", 404, "page not found"],
    [
      "GET",
      "/swarm",
      503,
      'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
    ],
    ["POST", "/build", 501, "building images is not supported by this engine yet"],
    ["PUT", "/volumes/x", 503, "volume update only valid for cluster volumes, but swarm is unavailable"],
    ["GET", "/containers/json", 503, "no supervisor is running: containers are out of reach"],
    ["GET", "/containers/json?filters=xx", 400, "invalid filter"],
    ["GET", "/images/UP/json", 400, "invalid reference format: repository name (library/UP) must be lowercase"],
    ["GET", "/events?since=100&until=50", 400, "`since` time (100) cannot be after `until` time (50)"],
    ["POST", "/containers/x/wait?condition=foo", 400, 'invalid condition: "foo"'],
    ["POST", "/containers/x/rename", 400, "Neither old nor new names may be empty"],
    ["POST", "/containers/x/resize", 400, 'invalid resize height "": invalid syntax'],
    ["GET", "/containers/x/logs", 400, "Bad parameters: you must choose at least one stream"],
    ["POST", "/containers/create?name=-x", 400, "invalid JSON: got EOF while reading request body"],
  ])("%s %s answers %i", async (method, path, status, message) => {
    const answer = await gateway.call(method, path);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.text)).toEqual({ message });
  });

  it("wants JSON to be called JSON", async () => {
    const form = { "content-type": "application/x-www-form-urlencoded" };
    expect(JSON.parse((await gateway.call("POST", "/containers/create", "{}", form)).text)).toEqual({
      message: "unsupported Content-Type header (application/x-www-form-urlencoded): must be 'application/json'",
    });
    expect(JSON.parse((await gateway.call("POST", "/containers/create", "{}", json)).text)).toEqual({
      message: "config cannot be empty in order to create a container",
    });
  });

  it.each([
    ["application/json;;", "malformed Content-Type header (application/json;;): mime: invalid media parameter"],
    ["application/json; a", "malformed Content-Type header (application/json; a): mime: invalid media parameter"],
    ["/", "malformed Content-Type header (/): mime: no media type"],
    ["text", "unsupported Content-Type header (text): must be 'application/json'"],
    ["APPLICATION/JSON; charset=utf-8", "config cannot be empty in order to create a container"],
  ])("reads the content type %s as Go does", async (type, message) => {
    const answer = await gateway.call("POST", "/containers/create", "{}", { "content-type": type });
    expect([answer.status, JSON.parse(answer.text)]).toEqual([400, { message }]);
  });

  it.each([
    ["/containers/json?all=%zz", 'invalid URL escape "%zz"'],
    ["/containers/json?all=1&b=%", 'invalid URL escape "%"'],
    ["/containers/json?a;b", "invalid semicolon separator in query"],
    ["/containers/json?limit=99999999999999999999", 'strconv.Atoi: parsing "99999999999999999999": value out of range'],
  ])("refuses the query of %s", async (path, message) => {
    const answer = await gateway.call("GET", path);
    expect([answer.status, JSON.parse(answer.text)]).toEqual([400, { message }]);
  });

  it("sends other spellings of a path to the one that counts", async () => {
    const answer = await gateway.call("GET", "/containers/..//_ping?a=1");
    expect(answer).toMatchObject({ status: 301, text: "" });
    expect(answer.headers["location"]).toBe("/_ping?a=1");
    expect(await gateway.call("GET", "/containers/%zz/json")).toMatchObject({ status: 400, text: "400 Bad Request" });
    expect(await gateway.call("GET", "http://docker/_ping")).toMatchObject({ status: 200, text: "OK" });
  });

  it("refuses a body beyond its bound without reading it", async () => {
    const answer = await gateway.call("POST", "/containers/create", undefined, {
      ...json,
      "content-length": String(2 ** 30),
    });
    expect(answer.status).toBe(400);
    expect(answer.text).toContain("request body is larger than");
  });

  it("still says what it is", async () => {
    const info = JSON.parse((await gateway.call("GET", "/info")).text) as Record<string, unknown>;
    expect(info).toMatchObject({
      Containers: 0,
      Driver: "overlay2",
      OSType: "linux",
      Swarm: { LocalNodeState: "inactive" },
    });
    expect(info["Warnings"]).toHaveLength(2);
  });

  it("ignores an upgrade to HTTP/2 where there is nothing to upgrade", async () => {
    const answer = await gateway.call("GET", "/_ping", undefined, {
      connection: "Upgrade, HTTP2-Settings",
      upgrade: "h2c",
    });
    expect(answer).toMatchObject({ status: 200, text: "OK" });
  });

  it("answers garbage and closes", async () => {
    const socket = gateway.upgrade("/containers/\u0001 bad");
    const text = await new Promise<string>((resolve) => {
      let seen = "";
      socket.on("data", (chunk: Buffer) => {
        seen += chunk.toString();
      });
      socket.on("close", () => resolve(seen));
      socket.on("end", () => socket.destroy());
    });
    expect(text).toMatch(/^HTTP\/1.1 400 Bad Request/);
  });
});
