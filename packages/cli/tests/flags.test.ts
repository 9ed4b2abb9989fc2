import { describe, expect, it } from "vitest";
import { containerBody } from "../src/commands/container-body.ts";
import { containerFlags } from "../src/commands/container-flags.ts";
import { publishedPorts } from "../src/commands/publish.ts";
import { splitReference } from "../src/commands/reference.ts";
import { startFailureCode } from "../src/commands/run.ts";
import { type Flag, parseFlags } from "../src/flags.ts";

const flags: Flag[] = [
  { name: "interactive", short: "i", type: "bool", help: "" },
  { name: "tty", short: "t", type: "bool", help: "" },
  { name: "name", type: "string", help: "" },
  { name: "env", short: "e", type: "list", help: "" },
  { name: "tail", short: "n", type: "int", help: "" },
];

describe("flags", () => {
  it("reads docker's spellings", () => {
    const parsed = parseFlags(["-it", "--name=web", "-e", "A=1", "-eB=2", "-n5", "busybox", "ls", "-l"], flags, false);
    expect(parsed.bool("interactive") && parsed.bool("tty")).toBe(true);
    expect(parsed.text("name")).toBe("web");
    expect(parsed.list("env")).toEqual(["A=1", "B=2"]);
    expect(parsed.int("tail")).toBe(5);
    expect(parsed.args).toEqual(["busybox", "ls", "-l"]);
  });
  it("finds flags behind arguments where they may be, until --", () => {
    const parsed = parseFlags(["web", "-i", "--", "-t"], flags);
    expect(parsed.bool("interactive")).toBe(true);
    expect(parsed.bool("tty")).toBe(false);
    expect(parsed.args).toEqual(["web", "-t"]);
  });
  it.each([
    [["--nope"], "unknown flag: --nope"],
    [["-x"], "unknown shorthand flag: 'x' in -x"],
    [["--name"], "flag needs an argument: --name"],
    [["-n", "x"], 'invalid argument "x" for "--tail": expected a number'],
    [["--tty=maybe"], 'invalid argument "maybe" for "--tty": expected true or false'],
  ])("refuses %j", (argv, message) => {
    expect(() => parseFlags(argv, flags)).toThrow(message);
  });
});

describe("ports", () => {
  it("publishes one, with an address, a range, another protocol", () => {
    expect(publishedPorts(["8080:80", "127.0.0.1:53:53/udp", "[::1]:1:2", "90", "7000-7001:70-71"], ["5"])).toEqual({
      bindings: {
        "80/tcp": [{ HostIp: "", HostPort: "8080" }],
        "53/udp": [{ HostIp: "127.0.0.1", HostPort: "53" }],
        "2/tcp": [{ HostIp: "::1", HostPort: "1" }],
        "90/tcp": [{ HostIp: "", HostPort: "" }],
        "70/tcp": [{ HostIp: "", HostPort: "7000" }],
        "71/tcp": [{ HostIp: "", HostPort: "7001" }],
      },
      exposed: ["80/tcp", "53/udp", "2/tcp", "90/tcp", "70/tcp", "71/tcp", "5/tcp"],
    });
  });
  it.each(["x", "80:x", "1:2:3:4", "70000", "9-5"])("refuses %s", (text) => {
    expect(() => publishedPorts([text], [])).toThrow(/invalid/);
  });
});

describe("the body of a create", () => {
  const body = (...argv: string[]) => {
    const parsed = parseFlags(argv, [...containerFlags, { name: "detach", short: "d", type: "bool", help: "" }], false);
    const [image = "", ...cmd] = parsed.args;
    return containerBody(parsed, image, cmd, true) as Record<string, Record<string, unknown>>;
  };
  it("says what the flags say", () => {
    const made = body(
      "-i",
      "--rm",
      "-m",
      "64m",
      "--cpus",
      "1.5",
      "--ulimit",
      "nofile=5:6",
      "-v",
      "/a:/b",
      "-v",
      "/c",
      "busybox",
      "cat",
    );
    expect(made).toMatchObject({
      Image: "busybox",
      Cmd: ["cat"],
      OpenStdin: true,
      StdinOnce: true,
      AttachStdin: true,
      Volumes: { "/c": {} },
      HostConfig: {
        AutoRemove: true,
        Memory: 67_108_864,
        NanoCpus: 1_500_000_000,
        Binds: ["/a:/b"],
        Ulimits: [{ Name: "nofile", Soft: 5, Hard: 6 }],
      },
    });
  });
  it("attaches nothing to what runs in the background", () => {
    expect(body("-d", "-i", "busybox")).toMatchObject({ AttachStdin: false, AttachStdout: false, StdinOnce: false });
  });
  it.each([
    [["--memory", "much", "a"], 'invalid argument "much" for "--memory"'],
    [["--restart", "on-failure:x", "a"], "invalid restart policy"],
    [["--mount", "type=bind,what=1", "a"], 'unexpected key "what"'],
    [["--ulimit", "x", "a"], 'invalid ulimit "x"'],
  ])("refuses %j", (argv, message) => {
    expect(() => body(...argv)).toThrow(message);
  });
});

it.each([
  ["busybox", "busybox", ""],
  ["h:5000/a", "h:5000/a", ""],
  ["h:5000/a:1", "h:5000/a", "1"],
  ["a@sha256:00", "a", "sha256:00"],
])("%s is a name and a tag", (text, name, tag) => {
  expect(splitReference(text)).toEqual({ name, tag });
});

it.each([
  ['exec: "x": executable file not found in $PATH', 127],
  ['exec: "/x": stat /x: no such file or directory', 127],
  ['exec: "/": is a directory: permission denied', 126],
  ["driver failed programming external connectivity", 125],
])("%s ends with %i", (message, code) => {
  expect(startFailureCode(message)).toBe(code);
});
