import type { HostFacts } from "../host.ts";
import type { ContainerSpec, ExecRecord, Ulimit } from "../model.ts";
import { capabilitiesOf, parseSecurityOptions } from "../validate/security.ts";
import { initArguments } from "./init.ts";
import type { OciProcess } from "./oci.ts";

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The container's first process. */
export function processOf(spec: ContainerSpec, facts: HostFacts, linkEnv: readonly string[] = []): OciProcess {
  const { config, hostConfig: host } = spec;
  const [height = 0, width = 0] = host.consoleSize;
  return {
    terminal: config.tty,
    ...(config.tty && height > 0 && { consoleSize: { height, width } }),
    user: lookedUp,
    args: [...initArguments(host), ...config.entrypoint, ...config.cmd],
    env: environment(spec, linkEnv),
    cwd: config.workingDir || "/",
    capabilities: setsOf(capabilitiesOf(host, facts)),
    ...(host.resources.ulimits.length > 0 && { rlimits: host.resources.ulimits.map(rlimitOf) }),
    noNewPrivileges: parseSecurityOptions(host.securityOpt).noNewPrivileges,
    oomScoreAdj: host.oomScoreAdj,
  };
}

/** The user, with the groups, is looked up inside the root file system by the monitor (monitor.json). */
const lookedUp: OciProcess["user"] = { uid: 0, gid: 0, additionalGids: [] };

/** Whom a process runs as that no user was named for: root, with the groups that root is in there. */
export const userOf = (...named: string[]): string => named.find((user) => user !== "") ?? "0";

/** A process of `docker exec` in a container of this spec. */
export function execProcessOf(
  spec: ContainerSpec,
  exec: ExecRecord,
  facts: HostFacts,
  linkEnv: readonly string[] = [],
): OciProcess {
  const { hostConfig: host } = spec;
  const [height = 0, width = 0] = exec.consoleSize;
  const privileged = exec.privileged || host.privileged;
  const base = environment(spec, linkEnv).filter((entry) => !entry.startsWith("TERM="));
  const env = exec.tty ? [...base.slice(0, 2), "TERM=xterm", ...base.slice(2)] : base;
  return {
    terminal: exec.tty,
    ...(exec.tty && height > 0 && { consoleSize: { height, width } }),
    user: lookedUp,
    args: exec.cmd,
    env: merge(exec.tty ? env : withUserTerm(env, spec), exec.env),
    cwd: exec.workingDir || spec.config.workingDir || "/",
    capabilities: setsOf(privileged ? [...facts.capabilities] : capabilitiesOf(host, facts)),
    ...(host.resources.ulimits.length > 0 && { rlimits: host.resources.ulimits.map(rlimitOf) }),
    noNewPrivileges: parseSecurityOptions(host.securityOpt).noNewPrivileges,
    oomScoreAdj: host.oomScoreAdj,
  };
}

/** TERM that the user set stays, the engine's own default for terminals doesn't. */
function withUserTerm(env: string[], spec: ContainerSpec): string[] {
  const own = spec.config.env.find((entry) => entry.startsWith("TERM="));
  return own === undefined ? env : [...env, own];
}

/** PATH, HOSTNAME, (for a terminal) TERM and what links give unless the user says otherwise; then the user's. */
function environment({ config }: ContainerSpec, linkEnv: readonly string[]): string[] {
  const base = [defaultPath, `HOSTNAME=${config.hostname}`, ...(config.tty ? ["TERM=xterm"] : []), ...linkEnv];
  return merge(base, config.env);
}

/** `changes` replace values in place or are appended; one without "=" takes the variable out. */
function merge(base: readonly string[], changes: readonly string[]): string[] {
  const result = [...base];
  for (const change of changes) {
    const equals = change.indexOf("=");
    const key = equals < 0 ? change : change.slice(0, equals);
    const index = result.findIndex((entry) => entry.startsWith(`${key}=`));
    if (equals < 0) {
      if (index >= 0) result.splice(index, 1);
    } else if (index >= 0) {
      result[index] = change;
    } else {
      result.push(change);
    }
  }
  return result;
}

/**
 * All in three sets, whoever the user is: the kernel takes permitted and effective ones away itself when the uid changes from 0.
 * None are inheritable or ambient, as programs with file capabilities could get more than was meant.
 */
function setsOf(names: string[]): NonNullable<OciProcess["capabilities"]> {
  return { bounding: names, effective: names, permitted: names, inheritable: [], ambient: [] };
}

/** RLIM_INFINITY, which no JavaScript number holds exactly. */
const unlimited = (JSON as unknown as { rawJSON(text: string): number }).rawJSON("18446744073709551615");

function rlimitOf({ name, soft, hard }: Ulimit): { type: string; soft: number; hard: number } {
  const value = (limit: number) => (limit < 0 ? unlimited : limit);
  return { type: `RLIMIT_${name.toUpperCase()}`, soft: value(soft), hard: value(hard) };
}
