// Docker's refusals, to the letter: the texts were taken from Docker 28.5's own answers.
import { describe, expect, test } from "vitest";
import type { HostFacts } from "../src/domain/host.ts";
import type { ContainerConfig, ContainerSpec, HostConfig, Resources } from "../src/domain/model.ts";
import { checkName } from "../src/domain/validate/names.ts";
import { parseSignal } from "../src/domain/validate/signals.ts";
import { checkSpec } from "../src/domain/validate/spec.ts";
import { checkStart } from "../src/domain/validate/start.ts";
import { facts, makeMount, makeSpec } from "./support.ts";

type Host = Partial<Omit<HostConfig, "resources">> & { resources?: Partial<Resources> };

const check = (
  host: Host = {},
  config: Partial<ContainerConfig> = {},
  spec: Partial<ContainerSpec> = {},
  on: HostFacts = facts,
) => checkSpec(makeSpec(host, config, spec), on);

function refusal(host: Host, config: Partial<ContainerConfig> = {}): string {
  try {
    check(host, config);
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}

const mount = (fields: Parameters<typeof makeMount>[0]) => ({ mounts: [makeMount(fields)] });

describe("refused", () => {
  const cases: [Host, Partial<ContainerConfig>, string][] = [
    [
      { autoRemove: true, restartPolicy: { name: "always", maximumRetryCount: 0 } },
      {},
      "can't create 'AutoRemove' container with restart policy",
    ],
    [
      { restartPolicy: { name: "foo", maximumRetryCount: 0 } },
      {},
      "invalid restart policy: unknown policy 'foo'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
    ],
    [
      { restartPolicy: { name: "always", maximumRetryCount: 2 } },
      {},
      "invalid restart policy: maximum retry count can only be used with 'on-failure'",
    ],
    [
      { restartPolicy: { name: "on-failure", maximumRetryCount: -2 } },
      {},
      "invalid restart policy: maximum retry count cannot be negative",
    ],
    [{ resources: { memory: 1000 } }, {}, "Minimum memory limit allowed is 6MB"],
    [
      { resources: { memory: 1e7, memorySwap: 5e6 } },
      {},
      "Minimum memoryswap limit should be larger than memory limit, see usage",
    ],
    [
      { resources: { memorySwap: 5e6 } },
      {},
      "You should always set the Memory limit when using Memoryswap limit, see usage",
    ],
    [
      { resources: { memory: 1e7, memoryReservation: 2e7 } },
      {},
      "Minimum memory limit can not be less than memory reservation limit, see usage",
    ],
    [{ resources: { memorySwappiness: 200 } }, {}, "Invalid value: 200, valid memory swappiness range is 0-100"],
    [{ resources: { nanoCpus: 1e12 } }, {}, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"],
    [
      { resources: { nanoCpus: 1e9, cpuPeriod: 100_000 } },
      {},
      "Conflicting options: Nano CPUs and CPU Period cannot both be set",
    ],
    [
      { resources: { nanoCpus: 1e9, cpuQuota: 100_000 } },
      {},
      "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
    ],
    [
      { resources: { cpuPeriod: 10 } },
      {},
      "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
    ],
    [{ resources: { cpuQuota: 10 } }, {}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"],
    [{ resources: { cpuShares: -1 } }, {}, "invalid CPU shares (-1): value must be a positive integer"],
    [{ resources: { cpusetCpus: "abc" } }, {}, "Invalid value abc for cpuset cpus: invalid format: abc"],
    [{ resources: { cpusetCpus: "0-9" } }, {}, "Requested CPUs are not available - requested 0-9, available: 0-1"],
    [{ resources: { cpusetMems: "7" } }, {}, "Requested memory nodes are not available - requested 7, available: 0"],
    [{ oomScoreAdj: 2000 }, {}, "Invalid value 2000, range for oom score adj is [-1000, 1000]"],
    [{ shmSize: -1 }, {}, "SHM size can not be less than 0"],
    [
      { binds: ["foo"] },
      {},
      "invalid volume specification: 'foo': invalid mount config for type \"volume\": invalid mount path: 'foo' mount path must be absolute",
    ],
    [{ binds: ["/a:/b:bad"] }, {}, "invalid mode: bad"],
    [{ binds: ["/a:/b:ro,rw"] }, {}, "invalid mode: ro,rw"],
    [{ binds: ["/a:/b:ro:rw"] }, {}, "invalid volume specification: '/a:/b:ro:rw'"],
    [
      { binds: ["/x:/"] },
      {},
      "invalid volume specification: '/x:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'",
    ],
    [
      { binds: ["/tmp:rel"] },
      {},
      "invalid volume specification: '/tmp:rel': invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be absolute",
    ],
    [{ binds: ["/tmp:/b", "/etc:/b"] }, {}, "Duplicate mount point: /b"],
    [{ binds: [""] }, {}, "invalid volume specification: ''"],
    [mount({ source: "", target: "/a" }), {}, 'invalid mount config for type "bind": field Source must not be empty'],
    [
      mount({ source: "rel", target: "/a" }),
      {},
      "invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be absolute",
    ],
    [mount({ source: "/tmp", target: "" }), {}, 'invalid mount config for type "bind": field Target must not be empty'],
    [
      mount({ type: "foo", source: "/tmp", target: "/a" }),
      {},
      'invalid mount config for type "foo": mount type unknown',
    ],
    [
      mount({ type: "tmpfs", source: "/tmp", target: "/a" }),
      {},
      'invalid mount config for type "tmpfs": field Source must not be specified',
    ],
    [
      mount({ source: "/tmp", target: "/a", propagation: "foo" }),
      {},
      'invalid mount config for type "bind": invalid propagation mode: foo',
    ],
    [{ tmpfs: { rel: "" } }, {}, "invalid mount path: 'rel' mount path must be absolute"],
    [{ capAdd: ["FOO"] }, {}, 'invalid CapAdd: unknown capability: "CAP_FOO"'],
    [{ capDrop: ["FOO"] }, {}, 'invalid CapDrop: unknown capability: "CAP_FOO"'],
    [{ securityOpt: ["foo"] }, {}, 'invalid --security-opt 1: "foo"'],
    [{ securityOpt: ["foo=bar"] }, {}, 'invalid --security-opt 2: "foo=bar"'],
    [{ securityOpt: ["no-new-privileges=maybe"] }, {}, 'invalid --security-opt 2: "no-new-privileges=maybe"'],
    [{ ipcMode: "foo" }, {}, "invalid IPC mode: foo"],
    [{ pidMode: "container:" }, {}, "invalid PID mode: container:"],
    [{ utsMode: "host" }, { hostname: "x" }, "conflicting options: hostname and the UTS mode"],
    [{ cgroupnsMode: "foo" }, {}, "invalid cgroup namespace mode: foo"],
    [{ networkMode: "container:" }, {}, "invalid network mode: invalid container format container:<name|id>"],
    [{ networkMode: "container:a" }, { hostname: "x" }, "conflicting options: hostname and the network mode"],
    [{ networkMode: "container:a", dns: ["1.1.1.1"] }, {}, "conflicting options: dns and the network mode"],
    [
      { networkMode: "container:a", extraHosts: ["a:1.1.1.1"] },
      {},
      "conflicting options: custom host-to-IP mapping and the network mode",
    ],
    [
      { networkMode: "container:a" },
      { exposedPorts: ["80/tcp"] },
      "conflicting options: port exposing and the container type network mode",
    ],
    [
      { networkMode: "host", links: ["a:b"] },
      {},
      "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    ],
    [
      { portBindings: [{ containerPort: "99999/tcp", hostIp: "", hostPort: "1" }] },
      {},
      'invalid port specification: "99999"',
    ],
    [
      { portBindings: [{ containerPort: "80/tcp", hostIp: "", hostPort: "90-80" }] },
      {},
      'invalid port specification: "90-80"',
    ],
    [{ extraHosts: ["foo"] }, {}, 'bad format for add-host: "foo"'],
    [{ extraHosts: ["a:b"] }, {}, 'invalid IP address in add-host: "b"'],
    [{ logConfig: { type: "foo", config: {} } }, {}, 'error looking up logging plugin foo: plugin "foo" not found'],
    [{ logConfig: { type: "json-file", config: { foo: "1" } } }, {}, "unknown log opt 'foo' for json-file log driver"],
    [{ isolation: "hyperv" }, {}, "invalid isolation (hyperv): linux only supports 'default'"],
    [{ annotations: { "": "x" } }, {}, "invalid Annotations: the empty string is not permitted as an annotation key"],
    [{}, { cmd: [] }, "no command specified"],
    [{}, { workingDir: "rel" }, "the working directory 'rel' is invalid, it needs to be an absolute path"],
    [{}, { env: ["=x"] }, "invalid environment variable: =x"],
    [{}, { stopSignal: "FOO" }, "invalid signal: FOO"],
  ];
  test.each(cases)("%j %j", (host, config, text) => {
    expect(refusal(host, config)).toBe(text);
  });
});

describe("taken at create, refused at start", () => {
  const create =
    "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: ";
  const inInit = `${create}unable to start container process: error during container init: `;
  test.each<[Host, Partial<ContainerConfig>, string]>([
    [{ dns: ["foo"] }, {}, 'bad nameserver address foo: ParseAddr("foo"): unable to parse IP'],
    [
      { dns: ["1.2.3.4 "] },
      {},
      'bad nameserver address 1.2.3.4 : ParseAddr("1.2.3.4 "): unexpected character (at " ")',
    ],
    [{ sysctls: { foo: "1" } }, {}, `${create}sysctl "foo" is not in a separate kernel namespace`],
    [
      { sysctls: { "net.x": "1" }, networkMode: "host" },
      {},
      `${create}sysctl "net.x" not allowed in host network namespace`,
    ],
    [
      { sysctls: { "kernel.msgmax": "1" }, ipcMode: "host" },
      {},
      `${create}sysctl "kernel.msgmax" is not allowed in the hosts ipc namespace`,
    ],
    [
      { sysctls: { "kernel.hostname": "1" } },
      {},
      `${create}sysctl "kernel.hostname" is not allowed as it conflicts with the OCI "hostname" field`,
    ],
    [{ resources: { ulimits: [{ name: "foo", soft: 1, hard: 1 }] } }, {}, `${create}wrong rlimit value: RLIMIT_FOO`],
    [
      { resources: { ulimits: [{ name: "nofile", soft: 2, hard: 1 }] } },
      {},
      `${inInit}error setting rlimits for ready process: error setting rlimit type 7: invalid argument`,
    ],
    [{ resources: { deviceCgroupRules: ["c *:* q"] } }, {}, "invalid device cgroup rule format: 'c *:* q'"],
    [{}, { hostname: "a".repeat(65) }, `${inInit}sethostname: invalid argument`],
  ])("%j %j", (host, config, message) => {
    const spec = makeSpec(host, config);
    checkSpec(spec, facts);
    expect(() => checkStart(spec)).toThrow(expect.objectContaining({ reason: "INTERNAL", message }));
  });
});

test("what is not built says what it is", () => {
  const reasons: [Host, Partial<ContainerConfig>, RegExp][] = [
    [{ logConfig: { type: "splunk", config: {} } }, {}, /failed to initialize logging driver: splunk/],
  ];
  for (const [host, config, text] of reasons) {
    expect(() => check(host, config)).toThrow(
      expect.objectContaining({ reason: "NOT_IMPLEMENTED", message: expect.stringMatching(text) }),
    );
  }
});

test("warnings, and what the host can't do is taken out", () => {
  const spec = makeSpec({
    resources: { blkioWeight: 500, oomKillDisable: true },
    networkMode: "host",
    portBindings: [{ containerPort: "80/tcp", hostIp: "", hostPort: "1" }],
  });
  const { warnings } = checkSpec(spec, facts);
  expect(warnings).toEqual([
    "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
    "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    "Published ports are discarded when using host network mode",
  ]);
  expect(spec.hostConfig.resources.blkioWeight).toBe(0);
});

test("names", () => {
  expect(checkName("/ok1")).toBe("ok1");
  for (const name of ["a", "-x", "a b", "a/b", ".x", "ünx"]) {
    expect(() => checkName(name)).toThrow(
      `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    );
  }
});

test("signals by name and number", () => {
  expect([
    parseSignal("SIGTERM"),
    parseSignal("kill"),
    parseSignal("3"),
    parseSignal("RTMIN+3"),
    parseSignal("SIGRTMAX-1"),
  ]).toEqual([15, 9, 3, 37, 63]);
  for (const text of ["FOO", "0", "", "SIG", "RTMIN-1"]) expect(() => parseSignal(text)).toThrow("invalid signal");
});
