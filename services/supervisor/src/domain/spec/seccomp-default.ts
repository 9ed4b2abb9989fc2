import profile from "@berth/isolation/seccomp-default.json" with { type: "json" };
import { atLeast } from "./kernel.ts";

interface Argument {
  index: number;
  op: string;
  value: number;
}

/** Names allowed (or answered with `action`) when every condition given holds. */
interface Group {
  names: string[];
  action?: string;
  errnoRet?: number;
  arg?: Argument;
  withCap?: string;
  withoutCap?: string;
  arches?: string[];
  notArches?: string[];
  minKernel?: string;
}

const arch = { x64: "X86_64", arm64: "AARCH64" }[process.arch as string] ?? process.arch.toUpperCase();

/** The default profile as OCI's linux.seccomp for a container with these capabilities on this kernel. */
export function defaultProfile(capabilities: readonly string[], kernel: string): unknown {
  const native = `SCMP_ARCH_${arch}`;
  const subArchitectures = (profile.subArchitectures as Record<string, string[]>)[native] ?? [];
  const groups = (profile.groups as Group[]).filter((group) => holds(group, capabilities, kernel));
  return {
    defaultAction: profile.defaultAction,
    defaultErrnoRet: profile.defaultErrnoRet,
    architectures: [native, ...subArchitectures],
    syscalls: [{ names: profile.always, action: "SCMP_ACT_ALLOW" }, ...groups.map(ruleOf)],
  };
}

function holds(group: Group, capabilities: readonly string[], kernel: string): boolean {
  const { withCap, withoutCap, arches, notArches, minKernel } = group;
  return (
    (withCap === undefined || capabilities.includes(withCap)) &&
    (withoutCap === undefined || !capabilities.includes(withoutCap)) &&
    (arches === undefined || arches.includes(arch)) &&
    (notArches === undefined || !notArches.includes(arch)) &&
    (minKernel === undefined || atLeast(kernel, minKernel))
  );
}

function ruleOf({ names, action = "SCMP_ACT_ALLOW", errnoRet, arg }: Group): unknown {
  // A masked comparison keeps its mask in `value` and what must be left in `valueTwo`: nothing of it.
  const args = arg === undefined ? {} : { args: [{ index: arg.index, value: arg.value, valueTwo: 0, op: arg.op }] };
  return { names, action, ...(errnoRet !== undefined && { errnoRet }), ...args };
}
