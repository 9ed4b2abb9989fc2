import type { HostConfig } from "../model.ts";
import type { OciMount } from "./oci.ts";

/** Where Docker has it, and where people look for it in `ps`. */
const insidePath = "/sbin/docker-init";

/** An init is the first process of a pid namespace: one that joins another's has none to be first in. */
const hasInit = ({ init, pidMode }: HostConfig): boolean => init === true && pidMode === "";

/** What comes before the container's own command. */
export const initArguments = (host: HostConfig): string[] => (hasInit(host) ? [insidePath, "--"] : []);

/** `program`: berth-runtime, which is an init when it is called docker-init. */
export function initMount(host: HostConfig, program: string): OciMount[] {
  if (!hasInit(host)) return [];
  return [{ destination: insidePath, type: "bind", source: program, options: ["bind", "ro", "rprivate"] }];
}
