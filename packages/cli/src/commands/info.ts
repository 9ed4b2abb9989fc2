import type { Command } from "../command.ts";
import { memory } from "../output/human.ts";
import { Template } from "../output/template.ts";

const command: Command = {
  usage: "info [OPTIONS]",
  summary: "Show what the engine is and has",
  flags: [{ name: "format", short: "f", type: "string", help: "json, or a template" }],
  examples: ["berth info", "berth info -f '{{.Containers}}'"],
  args: [0, 0],
  async run({ engine, flags, print, warn }) {
    const info = await engine.json<Record<string, unknown>>("GET", "/info");
    const format = flags.text("format");
    if (format === "json") await print(`${JSON.stringify(info)}\n`);
    else if (format !== undefined) await print(`${new Template(format).render(info)}\n`);
    else await print(textOf(info));
    for (const warning of (info["Warnings"] as string[] | null) ?? []) warn(warning);
    return 0;
  },
};

function textOf(info: Record<string, unknown>): string {
  const rows: [string, unknown][] = [
    ["Containers", info["Containers"]],
    ["  Running", info["ContainersRunning"]],
    ["  Paused", info["ContainersPaused"]],
    ["  Stopped", info["ContainersStopped"]],
    ["Images", info["Images"]],
    ["Server Version", info["ServerVersion"]],
    ["Storage Driver", info["Driver"]],
    ["Logging Driver", info["LoggingDriver"]],
    ["Cgroup Driver", info["CgroupDriver"]],
    ["Cgroup Version", info["CgroupVersion"]],
    ["Security Options", (info["SecurityOptions"] as string[]).join(" ")],
    ["Kernel Version", info["KernelVersion"]],
    ["Operating System", info["OperatingSystem"]],
    ["Architecture", info["Architecture"]],
    ["CPUs", info["NCPU"]],
    ["Total Memory", memory(Number(info["MemTotal"]))],
    ["Name", info["Name"]],
    ["ID", info["ID"]],
    ["Root Dir", info["DockerRootDir"]],
  ];
  return rows.map(([name, value]) => `${name}: ${String(value)}\n`).join("");
}

export default command;
