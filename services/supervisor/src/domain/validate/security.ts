import { invalid } from "../errors.ts";
import { capabilityNames, type HostFacts } from "../host.ts";
import type { HostConfig } from "../model.ts";

export interface SecurityOptions {
  noNewPrivileges: boolean;
  /** "default", "unconfined", or a profile in Docker's JSON format. */
  seccomp: "default" | "unconfined" | Record<string, unknown>;
}

/** --security-opt. Throws INVALID_ARGUMENT with Docker's texts. */
export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  const result: SecurityOptions = { noNewPrivileges: false, seccomp: "default" };
  for (const option of options) {
    if (option === "no-new-privileges") {
      result.noNewPrivileges = true;
      continue;
    }
    const match = /^([^=:]*)[=:](.*)$/s.exec(option);
    if (!match) throw invalid(`invalid --security-opt 1: "${option}"`);
    const [, key = "", value = ""] = match;
    switch (key) {
      // Without the security module the label means nothing; with it, refused in checkLsm.
      case "label":
      case "apparmor":
      case "writable-cgroups":
        break;
      case "seccomp":
        result.seccomp = parseSeccomp(value);
        break;
      case "no-new-privileges":
        if (value !== "true" && value !== "false") throw invalid(`invalid --security-opt 2: "${option}"`);
        result.noNewPrivileges = value === "true";
        break;
      default:
        throw invalid(`invalid --security-opt 2: "${option}"`);
    }
  }
  return result;
}

function parseSeccomp(value: string): SecurityOptions["seccomp"] {
  if (value === "unconfined") return "unconfined";
  if (value === "builtin" || value === "") return "default";
  try {
    const profile: unknown = JSON.parse(value);
    if (typeof profile === "object" && profile !== null && !Array.isArray(profile))
      return profile as Record<string, unknown>;
  } catch (error) {
    throw invalid(`Decoding seccomp profile failed: ${(error as Error).message}`);
  }
  throw invalid("Decoding seccomp profile failed: it is not a JSON object");
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
export const defaultCapabilities = [
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
