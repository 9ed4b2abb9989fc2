import { describe, expect, it } from "vitest";
import { applyChanges } from "../src/domain/changes/changes.ts";
import { signalNumber } from "../src/domain/create/signals.ts";
import { eventMatcher } from "../src/domain/event-filter.ts";
import { cleanPath } from "../src/http/path.ts";
import { parseFilters, Query } from "../src/http/query.ts";
import { Router } from "../src/http/router.ts";
import { splitVersion } from "../src/http/version.ts";
import { pullReference, registryAuth } from "../src/routes/transfer.ts";
import { eventLine } from "../src/shapes/event.ts";
import { humanSize, progressLine } from "../src/shapes/progress.ts";
import { humanDuration, parseUnixTime, rfc3339 } from "../src/shapes/time.ts";
import { DetachFilter, parseDetachKeys } from "../src/streams/detach.ts";

describe("versions", () => {
  it("takes the newest where none is asked for, and none where there is none", () => {
    expect(splitVersion("/info")).toEqual({ path: "/info", minor: 51, refused: undefined });
    expect(splitVersion("/vfoo/info")).toEqual({ path: "/vfoo/info", minor: 51, refused: undefined });
  });
  it.each(["1.24", "1.41", "1.51", "1.51.0"])("%s is spoken", (version) => {
    const { path, minor, refused } = splitVersion(`/v${version}/info`);
    expect({ path, minor, refused }).toEqual({
      path: "/info",
      minor: Number(version.split(".")[1]),
      refused: undefined,
    });
  });
  it.each(["1", "1.0", "1.23", "1.23.9", "0.9"])("%s is too old", (version) => {
    expect(splitVersion(`/v${version}/info`).refused).toEqual({ reason: "too-old", version });
  });
  it.each(["1.52", "1.99", "2.0", "1.51.1"])("%s is too new", (version) => {
    expect(splitVersion(`/v${version}/info`).refused).toEqual({ reason: "too-new", version });
  });
});

describe("paths", () => {
  it.each([
    ["//info", "/info"],
    ["/./info", "/info"],
    ["/containers/../info", "/info"],
    ["/%2e%2e/info", "/info"],
    ["/containers//x/json", "/containers/x/json"],
    ["*", "/%2A"],
  ])("%s is found at %s", (path, moved) => {
    expect(cleanPath(path)).toEqual({ kind: "moved", path: moved });
  });
  it.each(["/info", "/info/", "/images/a%2Fb:1/json", "/containers/a..b/json", "/"])(
    "%s is as it should be",
    (path) => {
      expect(cleanPath(path)).toEqual({ kind: "clean", path });
    },
  );
  it("is no path with half an escape", () => {
    expect(cleanPath("/containers/%zz/json")).toEqual({ kind: "broken" });
  });
});

describe("the router", () => {
  const router = new Router<string>();
  for (const path of [
    "/containers/json",
    "/containers/{name}/json",
    "/images/{name...}/json",
    "/images/{name...}",
    "/images/json",
  ]) {
    router.add("GET", path, path);
  }
  it.each([
    ["/containers/json", "/containers/json", undefined],
    ["/containers/a/json", "/containers/{name}/json", "a"],
    ["/images/json", "/images/json", undefined],
    ["/images/h:5000/a/b:1/json", "/images/{name...}/json", "h:5000/a/b:1"],
    ["/images/a%2Fb", "/images/{name...}", "a/b"],
  ])("%s", (path, handler, name) => {
    expect(router.find("GET", path)).toEqual({ handler, name });
  });
  it.each(["/containers/a/b/json", "/containers//json", "/nothing", "/", "/images/%zz/json"])(
    "nothing for %s",
    (path) => {
      expect(router.find("GET", path)).toBeUndefined();
    },
  );
});

describe("queries", () => {
  it("reads flags as Docker does", () => {
    const query = new Query("a=1&b=true&c=0&d=false&e=no&f=none&g=&h=yes");
    expect(["a", "b", "h"].every((key) => query.flag(key))).toBe(true);
    expect(["c", "d", "e", "f", "g", "absent"].some((key) => query.flag(key))).toBe(false);
    expect(query.flag("absent", true)).toBe(true);
  });
  it("refuses semicolons and numbers that are none", () => {
    expect(() => new Query("a=1;b=2")).toThrow("invalid semicolon separator in query");
    expect(() => new Query("limit=x").integer("limit")).toThrow('strconv.Atoi: parsing "x": invalid syntax');
  });
  it("reads both spellings of filters", () => {
    expect(parseFilters('{"status":["running"]}', ["status"]).get("status")).toEqual(["running"]);
    expect(parseFilters('{"status":{"running":true,"exited":false}}', ["status"]).get("status")).toEqual(["running"]);
  });
  it.each([
    ["xx", "invalid filter"],
    ['{"foo":["x"]}', "invalid filter 'foo'"],
    ['{"status":[1]}', "invalid filter"],
    ["[]", "invalid filter"],
  ])("refuses %s", (text, message) => {
    expect(() => parseFilters(text, ["status"])).toThrow(message);
  });
});

describe("times and sizes", () => {
  it("prints Go's times", () => {
    expect(rfc3339(undefined)).toBe("0001-01-01T00:00:00Z");
    expect(rfc3339({ seconds: 1795335896, nanos: 290579998 })).toBe("2026-11-22T08:24:56.290579998Z");
    expect(rfc3339({ seconds: 1795335896, nanos: 500000000 })).toBe("2026-11-22T08:24:56.5Z");
    expect(rfc3339({ seconds: 1795335896, nanos: 0 })).toBe("2026-11-22T08:24:56Z");
  });
  it.each([
    [500, "Less than a second"],
    [1000, "1 second"],
    [59_000, "59 seconds"],
    [60_000, "About a minute"],
    [120_000, "2 minutes"],
    [3_600_000, "About an hour"],
    [2 * 3_600_000, "2 hours"],
    [48 * 3_600_000, "2 days"],
    [14 * 24 * 3_600_000, "2 weeks"],
    [60 * 24 * 3_600_000, "2 months"],
    [730 * 24 * 3_600_000, "2 years"],
  ])("%i ms is %s", (ms, text) => {
    expect(humanDuration(ms)).toBe(text);
  });
  it("reads moments with fractions", () => {
    expect(parseUnixTime("1795336000.5")).toEqual({ seconds: 1795336000, nanos: 500_000_000 });
    expect(parseUnixTime("5m")).toBeUndefined();
  });
  it.each([
    [88, "88B"],
    [36_445, "36.45kB"],
    [3_002_106, "3.002MB"],
    [1_000_000, "1MB"],
  ])("%i bytes are %s", (bytes, text) => {
    expect(humanSize(bytes)).toBe(text);
  });
});

/** Lines of a real pull by Docker 28.5. */
describe("progress", () => {
  it("is drawn as Docker draws it", () => {
    expect(progressLine({ status: "Downloading", id: "e7c517486543", current: 36_445, total: 3_002_106 })).toBe(
      '{"status":"Downloading","progressDetail":{"current":36445,"total":3002106},"progress":"[\\u003e                                                  ]  36.45kB/3.002MB","id":"e7c517486543"}\r\n',
    );
    expect(progressLine({ status: "Downloading", id: "7b7caca4006d", current: 88, total: 88 })).toBe(
      '{"status":"Downloading","progressDetail":{"current":88,"total":88},"progress":"[==================================================\\u003e]      88B/88B","id":"7b7caca4006d"}\r\n',
    );
    expect(progressLine({ status: "Pull complete", id: "7b7caca4006d" })).toBe(
      '{"status":"Pull complete","progressDetail":{},"id":"7b7caca4006d"}\r\n',
    );
    expect(progressLine({ status: "Pulling from t/img", id: "v1" })).toBe(
      '{"status":"Pulling from t/img","id":"v1"}\r\n',
    );
  });
});

describe("pull references", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  it.each([
    ["busybox", "", "busybox:latest", "library/busybox"],
    ["busybox", "1", "busybox:1", "library/busybox"],
    ["h:5000/t/img:v1", "", "h:5000/t/img:v1", "t/img"],
    ["h:5000/t/img", digest, `h:5000/t/img@${digest}`, "t/img"],
    [`busybox@${digest}`, "", `busybox@${digest}`, "library/busybox"],
  ])("%s + %s", (fromImage, tag, shown, path) => {
    expect(pullReference(fromImage, tag)).toEqual({ reference: shown, shown, path });
  });
  it("refuses what Docker refuses", () => {
    expect(() => pullReference("UP", "x")).toThrow(
      "invalid reference format: repository name (library/UP) must be lowercase",
    );
    expect(() => pullReference("a", "b@d")).toThrow("invalid tag format");
  });
  it("reads credentials and ignores what is none", () => {
    const header = (value: unknown) => ({
      headers: { "x-registry-auth": Buffer.from(JSON.stringify(value)).toString("base64url") },
    });
    expect(registryAuth(header({ username: "u", password: "p" }))).toMatchObject({ username: "u", password: "p" });
    expect(registryAuth(header({}))).toBeUndefined();
    expect(registryAuth({ headers: { "x-registry-auth": "zzz" } })).toBeUndefined();
  });
});

describe("events", () => {
  const event = {
    id: "1",
    type: "container" as const,
    action: "exec_create: sh -c true",
    actorId: "ca0ed3011091",
    attributes: { image: "busybox", name: "web", x: "y" },
    timeNano: "1795335994343626075",
    nodeId: "n",
    scope: "local" as const,
  };
  it("have the fields of every API version, and the time to the nanosecond", () => {
    expect(eventLine(event)).toBe(
      '{"status":"exec_create: sh -c true","id":"ca0ed3011091","from":"busybox","Type":"container","Action":"exec_create: sh -c true","Actor":{"ID":"ca0ed3011091","Attributes":{"image":"busybox","name":"web","x":"y"}},"scope":"local","time":1795335994,"timeNano":1795335994343626075}\n',
    );
  });
  it.each([
    [{ event: ["exec_create"] }, true],
    [{ event: ["exec"] }, false],
    [{ type: ["image", "container"] }, true],
    [{ container: ["web"] }, true],
    [{ container: ["ca0ed3"] }, true],
    [{ container: ["other"] }, false],
    [{ image: ["busybox:latest"] }, false],
    [{ label: ["x=y"] }, true],
    [{ label: ["x=z"] }, false],
    [{ type: ["container"], event: ["die"] }, false],
  ])("filter %j", (filters, passes) => {
    expect(eventMatcher(new Map(Object.entries(filters)))(event)).toBe(passes);
  });
});

describe("detach keys", () => {
  it("reads Docker's spelling", () => {
    expect(parseDetachKeys("")).toEqual(Buffer.from([16, 17]));
    expect(parseDetachKeys("ctrl-a,x")).toEqual(Buffer.from([1, 120]));
    expect(() => parseDetachKeys("zzz-")).toThrow("Invalid detach keys (zzz-) provided");
  });
  it("finds them over two chunks and swallows them, and passes what only began like them", async () => {
    const filter = new DetachFilter(parseDetachKeys(""));
    let detached = false;
    filter.once("detach", () => {
      detached = true;
    });
    const seen: Buffer[] = [];
    filter.on("data", (chunk: Buffer) => seen.push(chunk));
    for (const bytes of [[97, 16], [98], [16, 16], [17]]) filter.write(Buffer.from(bytes));
    await new Promise((resolve) => setImmediate(resolve));
    expect(detached).toBe(true);
    expect([...Buffer.concat(seen)]).toEqual([97, 16, 98, 16]);
  });
});

describe("signals and changes", () => {
  it.each([
    ["SIGTERM", 15],
    ["term", 15],
    ["15", 15],
    ["RTMIN+1", 35],
    ["RTMAX", 64],
    ["FOO", undefined],
    ["99", undefined],
    ["0", undefined],
  ])("%s", (text, number) => {
    expect(signalNumber(text)).toBe(number);
  });
  it("applies Dockerfile instructions", () => {
    expect(
      applyChanges([
        'CMD ["a","b"]',
        "ENV X=1 Y='2 3'",
        "env Z 4 5",
        "EXPOSE 80 53/udp",
        "WORKDIR /a\nWORKDIR b",
        "LABEL k=v",
      ]),
    ).toEqual({
      Cmd: ["a", "b"],
      Env: ["X=1", "Y=2 3", "Z=4 5"],
      ExposedPorts: { "80/tcp": {}, "53/udp": {} },
      WorkingDir: "/a/b",
      Labels: { k: "v" },
    });
    expect(applyChanges(["CMD ls"])).toEqual({ Cmd: ["/bin/sh", "-c", "ls"] });
    expect(() => applyChanges(["FOO x"])).toThrow("FOO is not a valid change command");
  });
});
