import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type CommonConfig, type ConfigOf, type ConfigSpec, readServiceConfig, type Sources } from "@berth/config";
import { BerthError } from "@berth/errors";
import { type OciRuntime, ownRuntime, type RuntimeOptions } from "./domain/runtimes.ts";
import type { PluginDirectories } from "./domain/volumes/plugins/discovery.ts";

const spec = {
  runtime: { env: "BERTH_RUNTIME", flag: "runtime", type: "string", optional: true, doc: "path of berth-runtime" },
  runtimes: {
    env: "BERTH_RUNTIMES",
    flag: "runtimes",
    type: "list",
    default: [],
    doc: 'other OCI runtimes that containers may ask for, NAME=/PATH or "NAME=/PATH ARGUMENT …"; one called runc takes the place of our own',
  },
  defaultRuntime: {
    env: "BERTH_DEFAULT_RUNTIME",
    flag: "default-runtime",
    type: "string",
    default: "runc",
    doc: "runtime of containers that name none; runc is the name that Docker's clients know our own by",
  },
  bridge: {
    env: "BERTH_BRIDGE",
    flag: "bridge",
    type: "string",
    default: "berth0",
    doc: "name of the default bridge's interface, at most 15 characters",
  },
  bridgeSubnet: {
    env: "BERTH_BRIDGE_SUBNET",
    flag: "bridge-subnet",
    type: "string",
    default: "",
    doc: "subnet of the default bridge; the first of 172.17.0.0/16, 172.18.0.0/16 … that no route of the host overlaps unless given",
  },
  bridgeMtu: {
    env: "BERTH_BRIDGE_MTU",
    flag: "bridge-mtu",
    type: "number",
    default: 1500,
    min: 68,
    max: 65535,
    doc: "bytes",
  },
  pluginSockets: {
    env: "BERTH_PLUGIN_SOCKETS",
    flag: "plugin-sockets",
    type: "string",
    default: "",
    doc: "directories with sockets of volume plugins, separated by colons; RUN_DIR/plugins and /run/docker/plugins unless given",
  },
  pluginSpecs: {
    env: "BERTH_PLUGIN_SPECS",
    flag: "plugin-specs",
    type: "string",
    default: "/etc/docker/plugins:/usr/lib/docker/plugins",
    doc: "directories with addresses of volume plugins (NAME.spec, NAME.json), separated by colons",
  },
  cdiSpecDirs: {
    env: "BERTH_CDI_SPEC_DIRS",
    flag: "cdi-spec-dirs",
    type: "list",
    default: ["/etc/cdi", "/var/run/cdi"],
    doc: "directories of CDI specs, the devices that containers may ask for by name",
  },
  nodeLabels: {
    env: "BERTH_NODE_LABELS",
    flag: "node-labels",
    type: "list",
    default: [],
    doc: "KEY=VALUE labels that this node has from its first start; berth node update changes them",
  },
  fault: {
    env: "BERTH_SUPERVISOR_FAULT",
    flag: "fault",
    type: "string",
    default: "",
    doc: "for tests: the point at which the process kills itself; @FILE: the one that stands there, once",
  },
} as const satisfies ConfigSpec;

export type SupervisorConfig = CommonConfig & ConfigOf<typeof spec>;

export const readSupervisorConfig = (sources: Sources = {}): SupervisorConfig =>
  readServiceConfig("supervisor", spec, sources);

/** Where volume plugins are looked for. */
export function pluginDirectories({ pluginSockets, pluginSpecs, runDir }: SupervisorConfig): PluginDirectories {
  const list = (text: string) => text.split(":").filter((path) => path !== "");
  const sockets = pluginSockets === "" ? [join(runDir, "plugins"), "/run/docker/plugins"] : list(pluginSockets);
  return { sockets, specs: list(pluginSpecs) };
}

/** The OCI runtimes that the operator offers beside our own. @throws INVALID_ARGUMENT naming the key */
export function runtimeOptions(config: SupervisorConfig): Omit<RuntimeOptions, "log"> {
  const configured = new Map(config.runtimes.map(parseRuntime));
  const { defaultRuntime: defaultName, runDir } = config;
  const searchPath = (process.env.PATH ?? "").split(":").filter((path) => path.startsWith("/"));
  return { configured, defaultName, ownPath: runtimePath(config), searchPath, directory: join(runDir, "runtimes") };
}

function parseRuntime(text: string): [string, OciRuntime] {
  const [, name = "", command = ""] = /^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})=(\/.*)$/.exec(text) ?? [];
  const [path = "", ...args] = command.split(/\s+/);
  if (path !== "" && name !== ownRuntime) return [name, { path, args }];
  const why = name === ownRuntime ? `${ownRuntime} is the name of the engine's own` : "expected NAME=/PATH";
  throw new BerthError("INVALID_ARGUMENT", `BERTH_RUNTIMES: "${text}" is not valid, ${why}`);
}

/** The runtime as the native build leaves it, for a checkout; an installation names its own. */
export const runtimePath = (config: SupervisorConfig): string =>
  config.runtime ?? fileURLToPath(new URL("../../../native/isolation/build/berth-runtime", import.meta.url));

/** @throws INVALID_ARGUMENT */
export function nodeLabels({ nodeLabels: given }: SupervisorConfig): Record<string, string> {
  return Object.fromEntries(
    given.map((text) => {
      const [, key, value] = /^([^=\s]+)=(.*)$/s.exec(text) ?? [];
      if (key === undefined || value === undefined)
        throw new BerthError("INVALID_ARGUMENT", `BERTH_NODE_LABELS: expected KEY=VALUE, not ${JSON.stringify(text)}`);
      return [key, value];
    }),
  );
}
