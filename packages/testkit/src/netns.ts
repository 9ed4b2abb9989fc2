// A network namespace that a test makes for an engine, so that nothing touches the host's own network.
import { must, run } from "./process.ts";

export interface NetworkNamespace {
  readonly name: string;
  readonly path: string;
  /** Words to put before a command so that it runs inside. */
  readonly enter: readonly string[];
  remove(): Promise<void>;
}

/** Makes a namespace with loopback up. nsenter, not `ip netns exec`: that one would remount /sys without its cgroups. */
export async function createNetns(name: string): Promise<NetworkNamespace> {
  await must(["ip", "netns", "add", name]);
  await must(["ip", "-n", name, "link", "set", "lo", "up"]);
  const path = `/run/netns/${name}`;
  return {
    name,
    path,
    enter: ["nsenter", `--net=${path}`, "--"],
    remove: async () => {
      await run(["ip", "netns", "del", name]);
    },
  };
}
