// What may happen to hosts, and how it is made good again.
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import type { Host } from "../hosts.ts";

export interface Fault {
  readonly name: string;
  /** Resolves when the world is as it was, but for what the hosts have to do themselves. */
  strike(): Promise<void>;
  /** The host whose containers end with it. */
  readonly powerless?: Host;
}

/** Every fault that can strike these hosts. `holdMs`: how long a host stays cut off, or dead. */
export function faultsOf(hosts: readonly Host[], restart: (host: Host) => Promise<void>, holdMs: number): Fault[] {
  return hosts.flatMap((host) => [
    {
      name: `${host.name} cut off`,
      strike: async () => {
        await host.cut();
        await pause(holdMs);
        await host.heal();
      },
    },
    {
      name: `${host.name} without power`,
      powerless: host,
      strike: async () => {
        await host.crash();
        await killEverything(host);
        await pause(holdMs);
        await restart(host);
      },
    },
    ...host.services.map((service) => ({
      name: `${host.name}'s ${service} killed`,
      strike: async () => {
        host.engine.kill(service);
        await host.engine.healthy(service, 30_000);
      },
    })),
  ]);
}

/** Monitors, whose containers end with them: what no power leaves of a host. */
async function killEverything({ runDir }: Host): Promise<void> {
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (command.startsWith("berth-runtime\0monitor\0") && command.includes(`${runDir}/`))
      process.kill(Number(pid), "SIGKILL");
  }
}
