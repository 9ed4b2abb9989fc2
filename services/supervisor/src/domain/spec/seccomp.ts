import { invalid } from "../errors.ts";
import { atLeast } from "./kernel.ts";

/** Docker's profile format (profiles/seccomp): OCI's, with conditions by capability, architecture and kernel. */
interface Condition {
  caps?: unknown;
  arches?: unknown;
  minKernel?: unknown;
}

const nativeArch = { x64: ["SCMP_ARCH_X86_64", "amd64"], arm64: ["SCMP_ARCH_AARCH64", "arm64"] }[
  process.arch as string
] ?? ["", process.arch];

/** Turns a profile given by a user into OCI's linux.seccomp for a container with these capabilities on this kernel. Throws INVALID_ARGUMENT. */
export function resolveProfile(
  profile: Record<string, unknown>,
  capabilities: readonly string[],
  kernel: string,
): object {
  const syscalls = listOf(profile.syscalls, "syscalls").flatMap((entry) => {
    const rule = entry as {
      name?: unknown;
      names?: unknown;
      includes?: Condition;
      excludes?: Condition;
      [key: string]: unknown;
    };
    if (!holds(rule.includes, capabilities, kernel, true) || !holds(rule.excludes, capabilities, kernel, false))
      return [];
    const names = rule.names !== undefined ? rule.names : rule.name !== undefined ? [rule.name] : [];
    const { action, errnoRet, args } = rule;
    return [
      {
        names,
        action,
        ...(typeof errnoRet === "number" && { errnoRet }),
        ...(Array.isArray(args) && { args: args.map(argument) }),
      },
    ];
  });
  if (typeof profile.defaultAction !== "string")
    throw invalid("Decoding seccomp profile failed: defaultAction is missing");
  return {
    defaultAction: profile.defaultAction,
    ...(typeof profile.defaultErrnoRet === "number" && { defaultErrnoRet: profile.defaultErrnoRet }),
    architectures: architecturesOf(profile),
    ...(Array.isArray(profile.flags) && { flags: profile.flags }),
    syscalls,
  };
}

function argument(arg: unknown): unknown {
  const { index, value, valueTwo, op } = arg as Record<string, unknown>;
  return { index, value, valueTwo: valueTwo ?? 0, op };
}

function architecturesOf(profile: Record<string, unknown>): unknown[] {
  const plain = listOf(profile.architectures, "architectures");
  if (plain.length > 0) return plain;
  const map = listOf(profile.archMap, "archMap") as { architecture?: unknown; subArchitectures?: unknown }[];
  const own = map.find((entry) => entry.architecture === nativeArch[0]);
  return own ? [own.architecture, ...listOf(own.subArchitectures, "subArchitectures")] : [];
}

function holds(
  condition: Condition | undefined,
  capabilities: readonly string[],
  kernel: string,
  include: boolean,
): boolean {
  if (!condition) return true;
  const caps = listOf(condition.caps, "caps");
  const arches = listOf(condition.arches, "arches");
  const present = (name: unknown) => capabilities.includes(String(name));
  const newEnough = typeof condition.minKernel === "string" ? atLeast(kernel, condition.minKernel) : undefined;
  if (include)
    return caps.every(present) && (arches.length === 0 || arches.includes(nativeArch[1])) && newEnough !== false;
  return !caps.some(present) && !arches.includes(nativeArch[1]) && newEnough !== true;
}

function listOf(value: unknown, name: string): unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.length <= 4096) return value;
  throw invalid(`Decoding seccomp profile failed: ${name} is not a list`);
}
