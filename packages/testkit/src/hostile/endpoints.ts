/** What there is to attack: every call of the Engine API, with the names of its parameters and a body that it would take. */
export interface Endpoint {
  readonly method: string;
  /** {name} stands for what exists, or does not. */
  readonly path: string;
  readonly query: readonly string[];
  readonly body?: Readonly<Record<string, unknown>>;
}

const create = {
  Image: "x",
  Cmd: ["true"],
  Env: ["A=b"],
  Labels: { a: "b" },
  ExposedPorts: { "80/tcp": {} },
  Volumes: { "/v": {} },
  Healthcheck: { Test: ["CMD", "true"], Interval: 1 },
  HostConfig: {
    Memory: 0,
    NanoCpus: 0,
    Binds: ["/a:/b"],
    PortBindings: { "80/tcp": [{ HostIp: "", HostPort: "1" }] },
    RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
    Mounts: [{ Type: "bind", Source: "/a", Target: "/b" }],
    Ulimits: [{ Name: "nofile", Soft: 1, Hard: 1 }],
    LogConfig: { Type: "json-file", Config: { a: "b" } },
    Sysctls: { a: "b" },
    Tmpfs: { "/t": "" },
    ConsoleSize: [1, 2],
  },
  NetworkingConfig: { EndpointsConfig: { bridge: { IPAMConfig: { IPv4Address: "x" }, Aliases: ["a"] } } },
};
const exec = { Cmd: ["true"], Env: ["A=b"], Tty: false, ConsoleSize: [1, 2], DetachKeys: "ctrl-p", User: "0" };
const update = { Memory: 0, CpuShares: 0, RestartPolicy: { Name: "no", MaximumRetryCount: 0 } };
const auth = { username: "u", password: "p", serveraddress: "127.0.0.1:1" };

export const endpoints: readonly Endpoint[] = [
  ...get("/_ping /version /info /swarm /nodes /services /tasks /secrets /configs /plugins /exec/{name}/json", []),
  ...get("/system/df", ["type"]),
  ...get("/containers/json", ["all", "limit", "size", "filters"]),
  ...get("/containers/{name}/json", ["size"]),
  ...get("/containers/{name}/top", ["ps_args"]),
  ...get("/containers/{name}/logs", ["stdout", "stderr", "since", "until", "tail", "timestamps", "details"]),
  ...get("/containers/{name}/changes /containers/{name}/export", []),
  ...get("/containers/{name}/archive", ["path"]),
  ...get("/containers/{name}/attach/ws", ["logs", "detachKeys"]),
  ...get("/images/json", ["all", "filters", "digests", "shared-size"]),
  ...get("/images/{name}/json /images/{name}/history /images/{name}/get", ["platform", "manifests"]),
  ...get("/images/get", ["names"]),
  ...get("/networks", ["filters"]),
  ...get("/networks/{name}", ["verbose", "scope"]),
  ...get("/volumes", ["filters"]),
  ...get("/volumes/{name}", []),
  post("/containers/create", ["name", "platform"], create),
  post("/containers/{name}/start", ["detachKeys"]),
  post("/containers/{name}/stop", ["t", "signal"]),
  post("/containers/{name}/restart", ["t", "signal"]),
  post("/containers/{name}/kill", ["signal"]),
  post("/containers/{name}/pause", []),
  post("/containers/{name}/unpause", []),
  post("/containers/{name}/resize", ["h", "w"]),
  post("/containers/{name}/rename", ["name"]),
  post("/containers/{name}/update", [], update),
  post("/containers/{name}/wait", ["condition"]),
  post("/containers/{name}/exec", [], exec),
  post("/exec/{name}/start", [], { Detach: true, Tty: false }),
  post("/exec/{name}/resize", ["h", "w"]),
  post("/commit", ["container", "repo", "tag", "changes", "pause"], create),
  post("/images/{name}/tag", ["repo", "tag"]),
  post("/images/create", ["fromSrc", "repo", "tag", "changes", "platform"]),
  post("/images/load", ["quiet", "platform"]),
  post("/networks/create", [], { Name: "x", IPAM: { Config: [{ Subnet: "x" }] }, Labels: { a: "b" } }),
  post("/networks/{name}/connect", [], { Container: "x", EndpointConfig: { Aliases: ["a"] } }),
  post("/networks/{name}/disconnect", [], { Container: "x", Force: false }),
  post("/volumes/create", [], { Name: "x", DriverOpts: { a: "b" }, Labels: { a: "b" } }),
  post("/auth", [], auth),
  { method: "PUT", path: "/containers/{name}/archive", query: ["path", "noOverwriteDirNonDir"] },
  { method: "HEAD", path: "/containers/{name}/archive", query: ["path"] },
  { method: "DELETE", path: "/images/{name}", query: ["force", "noprune"] },
];

function get(paths: string, query: readonly string[]): Endpoint[] {
  return paths.split(" ").map((path) => ({ method: "GET", path, query }));
}

function post(path: string, query: readonly string[], body?: Readonly<Record<string, unknown>>): Endpoint {
  return { method: "POST", path, query, ...(body === undefined ? {} : { body }) };
}
