import type { Command } from "../command.ts";
import { containerPath } from "./each.ts";

interface Inspected {
  NetworkSettings: { Ports: Record<string, { HostIp: string; HostPort: string }[] | null> };
}

const command: Command = {
  usage: "port CONTAINER [PRIVATE_PORT[/PROTO]]",
  summary: "Show a container's published ports",
  flags: [],
  examples: ["berth port web", "berth port web 80"],
  args: [1, 2],
  async run({ engine, args: [name = "", wanted], print, warn }) {
    const { NetworkSettings } = await engine.json<Inspected>("GET", containerPath(name, "/json"));
    const published = Object.entries(NetworkSettings.Ports).filter(([, hosts]) => hosts !== null);
    const shown = ({ HostIp, HostPort }: { HostIp: string; HostPort: string }) =>
      `${HostIp.includes(":") ? `[${HostIp}]` : HostIp}:${HostPort}`;
    if (wanted === undefined) {
      for (const [port, hosts] of published) for (const host of hosts ?? []) await print(`${port} -> ${shown(host)}\n`);
      return 0;
    }
    const key = wanted.includes("/") ? wanted : `${wanted}/tcp`;
    const hosts = published.find(([port]) => port === key)?.[1];
    if (hosts === undefined) {
      warn(`Error: No public port '${key}' published for ${name}`);
      return 1;
    }
    for (const host of hosts ?? []) await print(`${shown(host)}\n`);
    return 0;
  },
};

export default command;
