import { failed, invalid } from "../errors.ts";
import { capabilityNames, type HostFacts } from "../host.ts";
import type { HostConfig } from "../model.ts";

export interface SecurityOptions {
  noNewPrivileges: boolean;
  /** /sys/fs/cgroup can be written to. */
  writableCgroups: boolean;
  /** "unconfined", "builtin", empty, or a profile in Docker's JSON format. */
  seccomp: string;
}

/** --security-opt. Throws INTERNAL with Docker's texts. */
export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  const result: SecurityOptions = { noNewPrivileges: false, writableCgroups: false, seccomp: "" };
  for (const option of options) {
    if (option === "no-new-privileges") {
      result.noNewPrivileges = true;
      continue;
    }
    if (option === "writable-cgroups") {
      result.writableCgroups = true;
      continue;
    }
    if (option === "disable") continue;
    const match = /^([^=:]*)[=:](.*)$/s.exec(option);
    if (!match) throw failed(`invalid --security-opt 1: "${option}"`);
    const [, key = "", value = ""] = match;
    switch (key) {
      // Without the security modules (this engine knows none) they mean nothing.
      case "label":
      case "apparmor":
        break;
      case "seccomp":
        result.seccomp = value;
        break;
      case "no-new-privileges":
        result.noNewPrivileges = boolOf(value, option);
        break;
      case "writable-cgroups":
        result.writableCgroups = boolOf(value, option);
        break;
      default:
        throw failed(`invalid --security-opt 2: "${option}"`);
    }
  }
  return result;
}

/** Go's strconv.ParseBool. */
function boolOf(value: string, option: string): boolean {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(value)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(value)) return false;
  throw failed(`invalid --security-opt 2: "${option}"`);
}

/** "default", "unconfined", or a profile in Docker's JSON format. Throws INTERNAL with Docker's text. */
export function parseSeccomp(value: string): "default" | "unconfined" | Record<string, unknown> {
  if (value === "unconfined") return "unconfined";
  if (value === "builtin" || value === "") return "default";
  const wrong = (why: string) => failed(`Decoding seccomp profile failed: ${why}`);
  let profile: unknown;
  try {
    profile = JSON.parse(value);
  } catch (error) {
    const { message } = error as SyntaxError;
    const isCut = message.includes("end of JSON") || message.startsWith("Expected property name or '}'");
    throw wrong(isCut ? "unexpected end of JSON input" : message);
  }
  if (typeof profile === "object" && profile !== null && !Array.isArray(profile))
    return profile as Record<string, unknown>;
  throw wrong("it is not a JSON object");
}

/** "net_admin" and "CAP_NET_ADMIN" to the latter; "ALL" stays. Throws with Docker's text. */
export function normalizeCapability(name: string, option: "CapAdd" | "CapDrop"): string {
  const upper = name.toUpperCase();
  if (upper === "ALL") return "ALL";
  const full = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  if (!capabilityNames.includes(full)) throw invalid(`invalid ${option}: unknown capability: "${full}"`);
  return full;
}

/** What a container gets unless told otherwise. */
const defaultCapabilities = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FSETID",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_NET_RAW",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETFCAP",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
  "CAP_AUDIT_WRITE",
] as const;

/** The capabilities of a container's processes. */
export function capabilitiesOf(host: HostConfig, facts: HostFacts): string[] {
  const all = facts.capabilities;
  if (host.privileged) return [...all];
  const add = host.capAdd.map((name) => normalizeCapability(name, "CapAdd"));
  const drop = new Set(host.capDrop.map((name) => normalizeCapability(name, "CapDrop")));
  if (add.includes("ALL")) return all.filter((name) => !drop.has(name));
  const base = drop.has("ALL") ? [] : defaultCapabilities.filter((name) => !drop.has(name));
  const added = add.filter((name) => !(base as string[]).includes(name));
  return [...base, ...added].filter((name) => all.includes(name));
}
