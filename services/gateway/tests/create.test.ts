import { mergeImage } from "@berth/oci";
import { describe, expect, it } from "vitest";
import { type CreateBody, createRequest } from "../src/domain/create/body.ts";
import { checkEndpoints } from "../src/domain/create/endpoints.ts";
import { specOf } from "../src/domain/create/spec.ts";
import { checkBeforeAll, checkCreate, checkName } from "../src/domain/create/validate.ts";
import { adaptToVersion } from "../src/domain/create/versions.ts";
import { parseJson } from "../src/json/decode.ts";
import type { Image } from "../src/rpc/types.ts";

const body = (value: unknown) => parseJson(JSON.stringify(value), createRequest) as CreateBody;
const host = (value: unknown) => body({ Image: "busybox", HostConfig: value });

const image: Image = {
  id: "sha256:1",
  manifestDigest: "sha256:2",
  repoTags: ["busybox:latest"],
  repoDigests: [],
  layers: [],
  config: Buffer.from("{}"),
  platform: { os: "linux", architecture: "amd64", variant: "", osVersion: "" },
  created: undefined,
  lastTagged: undefined,
  storedSize: 1,
  parent: "",
  comment: "",
  labels: {},
};

/** Docker 28.5's answers to the same HostConfig. */
const refusedHosts: [unknown, string][] = [
  [{ Memory: 100 }, "Minimum memory limit allowed is 6MB"],
  [{ Memory: 6291456, MemorySwap: 1000 }, "Minimum memoryswap limit should be larger than memory limit, see usage"],
  [{ MemorySwap: 10000000 }, "You should always set the Memory limit when using Memoryswap limit, see usage"],
  [
    { Memory: 6291456, MemoryReservation: 7000000 },
    "Minimum memory limit can not be less than memory reservation limit, see usage",
  ],
  [{ MemoryReservation: 1 }, "Minimum memory reservation allowed is 6MB"],
  [{ MemorySwappiness: 200 }, "Invalid value: 200, valid memory swappiness range is 0-100"],
  [{ CpuShares: -1 }, "invalid CPU shares (-1): value must be a positive integer"],
  [{ NanoCpus: 1000, CpuPeriod: 1000 }, "Conflicting options: Nano CPUs and CPU Period cannot both be set"],
  [{ NanoCpus: 1000000000, CpuQuota: 1000 }, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"],
  [{ CpuPeriod: 1 }, "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"],
  [{ CpuQuota: 1 }, "CPU cfs quota can not be less than 1ms (i.e. 1000)"],
  [{ ShmSize: -1 }, "SHM size can not be less than 0"],
  [{ OomScoreAdj: 2000 }, "Invalid value 2000, range for oom score adj is [-1000, 1000]"],
  [
    { RestartPolicy: { Name: "foo" } },
    "invalid restart policy: unknown policy 'foo'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
  ],
  [
    { RestartPolicy: { Name: "always", MaximumRetryCount: 2 } },
    "invalid restart policy: maximum retry count can only be used with 'on-failure'",
  ],
  [
    { RestartPolicy: { Name: "on-failure", MaximumRetryCount: -2 } },
    "invalid restart policy: maximum retry count cannot be negative",
  ],
  [{ RestartPolicy: { Name: "always" }, AutoRemove: true }, "can't create 'AutoRemove' container with restart policy"],
  [{ CapAdd: ["FOO"] }, 'invalid CapAdd: unknown capability: "CAP_FOO"'],
  [{ CapDrop: ["FOO"] }, 'invalid CapDrop: unknown capability: "CAP_FOO"'],
  [{ NetworkMode: "container:" }, "invalid network mode: invalid container format container:<name|id>"],
  [{ IpcMode: "foo" }, "invalid IPC mode: foo"],
  [{ PidMode: "foo" }, "invalid PID mode: foo"],
  [{ UTSMode: "foo" }, "invalid UTS mode: foo"],
  [{ CgroupnsMode: "foo" }, "invalid cgroup namespace mode: foo"],
  [{ Isolation: "foo" }, "invalid isolation (foo): linux only supports 'default'"],
  [{ Mounts: [{ Type: "foo", Target: "/x" }] }, 'invalid mount config for type "foo": mount type unknown'],
  [
    { Mounts: [{ Type: "bind", Target: "/x" }] },
    'invalid mount config for type "bind": field Source must not be empty',
  ],
  [
    { Mounts: [{ Type: "bind", Source: "/tmp" }] },
    'invalid mount config for type "bind": field Target must not be empty',
  ],
  [
    { Mounts: [{ Type: "tmpfs", Source: "/tmp", Target: "/t" }] },
    'invalid mount config for type "tmpfs": field Source must not be specified',
  ],
  [{ Tmpfs: { x: "" } }, "invalid mount path: 'x' mount path must be absolute"],
  [{ PortBindings: { "80": [{ HostPort: "99999" }] } }, 'invalid port specification: "99999"'],
  [{ PortBindings: { "x/tcp": [{ HostPort: "9" }] } }, 'invalid port specification: "x"'],
  [{ PortBindings: { "80/tcp": [{ HostPort: "x" }] } }, 'invalid port specification: "x"'],
  [{ ExtraHosts: ["x"] }, 'bad format for add-host: "x"'],
  [{ ExtraHosts: ["x:y"] }, 'invalid IP address in add-host: "y"'],
  [{ Annotations: { "": "x" } }, "invalid Annotations: the empty string is not permitted as an annotation key"],
];

const refusedConfigs: [unknown, string][] = [
  [{ StopSignal: "FOO" }, "invalid signal: FOO"],
  [{ Env: ["=x"] }, "invalid environment variable: =x"],
  [{ Env: [""] }, "invalid environment variable: "],
  [{ WorkingDir: "rel" }, "the working directory 'rel' is invalid, it needs to be an absolute path"],
  [{ Healthcheck: { Interval: 5 } }, "Interval in Healthcheck cannot be less than 1ms"],
  [{ Healthcheck: { Test: ["CMD", "x"], Retries: -1 } }, "Retries in Healthcheck cannot be negative"],
];

describe("what create refuses", () => {
  const check = (request: CreateBody) => {
    checkBeforeAll(request);
    adaptToVersion(request, 51);
    checkCreate(request);
    checkEndpoints(request);
  };
  it.each(refusedHosts)("HostConfig %j", (value, message) => {
    expect(() => check(host(value))).toThrow(message);
  });
  it.each(refusedConfigs)("Config %j", (value, message) => {
    expect(() => checkCreate(body(value))).toThrow(message);
  });
  it.each(["-x", "a", "/", "a/b"])("the name %s", (name) => {
    expect(() => checkName(name)).toThrow(
      `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    );
  });
  it.each([
    [{ EndpointsConfig: { bridge: null } }, "invalid config for network bridge: EndpointsConfig is nil"],
    [
      { EndpointsConfig: { bridge: { MacAddress: "zz" } } },
      "invalid config for network bridge: invalid MAC address zz",
    ],
    [
      { EndpointsConfig: { default: { Aliases: ["x"] } } },
      "invalid config for network bridge: invalid endpoint settings:\nnetwork-scoped alias is supported only for containers in user defined networks",
    ],
    [
      { EndpointsConfig: { bridge: { IPAMConfig: { IPv4Address: "foo" } } } },
      "invalid config for network bridge: invalid endpoint settings:\n* user specified IP address is supported on user defined networks only\n* invalid IPv4 address: foo\n* user specified IP address is supported only when connecting to networks with user configured subnets",
    ],
  ])("NetworkingConfig %j", (value, message) => {
    expect(() => check(body({ Image: "a", Cmd: ["x"], NetworkingConfig: value }))).toThrow(message);
  });
  it("a container without a command", () => {
    const request = body({ Image: "a", Entrypoint: [""] });
    expect(() => specOf(request, mergeImage(request, { Cmd: ["sh"], Entrypoint: ["x"] }), image)).toThrow(
      "no command specified",
    );
  });
});

describe("what create takes, as Docker does", () => {
  it.each([
    { PidsLimit: -5 },
    { NetworkMode: "container:none" },
    { NetworkMode: "nonet" },
    { UsernsMode: "foo" },
    { PortBindings: { "80/foo": [{ HostPort: "9" }] } },
    { ConsoleSize: [1] },
    { KernelMemory: 1 },
    { CapAdd: ["net_admin", "CAP_KILL", "ALL"] },
    { ExtraHosts: ["h:host-gateway", "six:::1"] },
    { RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 } },
  ])("%j", (value) => {
    expect(() => checkCreate(host(value))).not.toThrow();
  });
});

describe("a container over its image", () => {
  const defaults = {
    User: "1",
    Env: ["PATH=/bin", "A=image"],
    Entrypoint: ["entry"],
    Cmd: ["image-cmd"],
    WorkingDir: "/w",
    Labels: { a: "image", b: "image" },
    ExposedPorts: { "80/tcp": {} },
    Volumes: { "/data": {} },
    StopSignal: "SIGINT",
    Healthcheck: {
      Test: ["CMD-SHELL", "true"],
      Interval: 1e9,
      Timeout: undefined,
      StartPeriod: undefined,
      StartInterval: undefined,
      Retries: 2,
    },
  };

  it("takes what it does not say itself from the image", () => {
    const merged = mergeImage(
      body({ Image: "a", Env: ["A=own"], Labels: { a: "own" }, ExposedPorts: { "81": {} } }),
      defaults,
    );
    expect(merged).toMatchObject({
      user: "1",
      env: ["A=own", "PATH=/bin"],
      entrypoint: ["entry"],
      cmd: ["image-cmd"],
      workingDir: "/w",
      labels: { a: "own", b: "image" },
      exposedPorts: ["81", "80/tcp"],
      volumes: ["/data"],
      stopSignal: "SIGINT",
    });
    expect(merged.healthcheck?.Retries).toBe(2);
  });

  it("with a command of its own keeps the image's entrypoint", () => {
    expect(mergeImage(body({ Cmd: ["x"] }), defaults)).toMatchObject({ entrypoint: ["entry"], cmd: ["x"] });
  });

  it("with an entrypoint of its own drops the image's command", () => {
    expect(mergeImage(body({ Entrypoint: ["x"] }), defaults)).toMatchObject({ entrypoint: ["x"], cmd: [] });
    expect(mergeImage(body({ Entrypoint: [""], Cmd: ["y"] }), defaults)).toMatchObject({ entrypoint: [], cmd: ["y"] });
  });

  it("gets Docker's defaults", () => {
    const request = host({ Memory: 64 * 1024 * 1024, PortBindings: { "80": [{ HostPort: "8080" }] } });
    const spec = specOf(request, mergeImage(request, defaults), image);
    expect(spec.hostConfig).toMatchObject({
      networkMode: "bridge",
      ipcMode: "private",
      shmSize: 67_108_864,
      restartPolicy: { name: "no", maximumRetryCount: 0 },
      logConfig: { type: "json-file", config: {} },
      portBindings: [{ containerPort: "80", hostIp: "", hostPort: "8080" }],
      resources: { memorySwap: 128 * 1024 * 1024 },
    });
  });
});

describe("what a version of the API means", () => {
  const adapted = (value: object, minor: number) => {
    const request = body(value);
    const warnings = adaptToVersion(request, minor);
    return { request, host: request.HostConfig, warnings };
  };
  const endpoint = (request: CreateBody) => request.NetworkingConfig?.EndpointsConfig?.["bridge"];

  it("defaults of older ones", () => {
    expect(adapted({ HostConfig: { AutoRemove: true } }, 24).host?.AutoRemove).toBe(false);
    expect(adapted({}, 39).host?.IpcMode).toBe("shareable");
    expect(adapted({}, 40).host?.IpcMode).toBeUndefined();
    expect(adapted({ HostConfig: { ConsoleSize: [1, 2] } }, 41).host?.ConsoleSize).toEqual([0, 0]);
    expect(adapted({ HostConfig: { KernelMemory: 5 } }, 41).host?.KernelMemory).toBe(5);
    expect(adapted({ HostConfig: { KernelMemory: 5 } }, 42).host?.KernelMemory).toBe(0);
    expect(adapted({ HostConfig: { Annotations: { a: "b" } } }, 42).host?.Annotations).toBeUndefined();
  });

  it("the container-wide MAC address", () => {
    const mac = "02:42:ac:11:00:99";
    const old = adapted({ MacAddress: mac }, 43);
    expect([endpoint(old.request)?.MacAddress, old.warnings]).toEqual([mac, []]);
    const now = adapted({ MacAddress: mac }, 44);
    expect([endpoint(now.request)?.MacAddress, now.warnings.length]).toEqual([mac, 1]);
    expect(() => adapted({ MacAddress: mac, HostConfig: { NetworkMode: "host" } }, 43)).toThrow(
      "conflicting options: mac-address and the network mode",
    );
    const both = {
      MacAddress: mac,
      NetworkingConfig: { EndpointsConfig: { bridge: { MacAddress: "02:42:ac:11:00:98" } } },
    };
    expect(() => adapted(both, 44)).toThrow("the container-wide MAC address must match");
  });

  it("sysctls of an interface", () => {
    const host = { Sysctls: { "net.ipv4.conf.eth0.log_martians": "1", "net.ipv4.ip_forward": "1" } };
    const { request, warnings } = adapted({ HostConfig: host }, 47);
    expect(request.HostConfig?.Sysctls).toEqual({ "net.ipv4.ip_forward": "1" });
    expect(endpoint(request)?.DriverOpts).toEqual({
      "com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1",
    });
    expect(warnings).toEqual([
      'Migrated sysctl "net.ipv4.conf.eth0.log_martians" to DriverOpts{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.IFNAME.log_martians=1"}.',
    ]);
    expect(() => adapted({ HostConfig: host }, 48)).toThrow("must be supplied using driver option");
  });
});
