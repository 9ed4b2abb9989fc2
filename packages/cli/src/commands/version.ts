import type { Command } from "../command.ts";
import { Template } from "../output/template.ts";

interface ServerVersion {
  Platform: { Name: string };
  Version: string;
  ApiVersion: string;
  MinAPIVersion: string;
  KernelVersion: string;
  Os: string;
  Arch: string;
  Components: { Name: string; Version: string }[];
}

const client = { Version: "0.1.0", NodeVersion: process.versions.node, Os: process.platform, Arch: process.arch };

const command: Command = {
  usage: "version [OPTIONS]",
  summary: "Show versions of the client and the engine",
  flags: [
    { name: "client", type: "bool", help: "The client's alone, without asking the engine" },
    { name: "format", short: "f", type: "string", help: "json, or a template" },
  ],
  examples: ["berth version", "berth version --client", "berth version -f '{{.Server.Version}}'"],
  args: [0, 0],
  async run({ engine, flags, print }) {
    const server = flags.bool("client") ? undefined : await engine.json<ServerVersion>("GET", "/version");
    const all = { Client: client, ...(server === undefined ? {} : { Server: server }) };
    const format = flags.text("format");
    if (format === "json") await print(`${JSON.stringify(all)}\n`);
    else if (format !== undefined) await print(`${new Template(format).render(all)}\n`);
    else await print(clientText() + (server === undefined ? "" : serverText(server)));
    return 0;
  },
};

function clientText(): string {
  return `Client:\n Version:      ${client.Version}\n Node:         ${client.NodeVersion}\n OS/Arch:      ${client.Os}/${client.Arch}\n`;
}

function serverText(server: ServerVersion): string {
  const components = server.Components.map(({ Name, Version }) => ` ${`${Name}:`.padEnd(22)}${Version}\n`).join("");
  return (
    `\nServer: ${server.Platform.Name}\n API version:  ${server.ApiVersion} (minimum ${server.MinAPIVersion})\n` +
    ` Kernel:       ${server.KernelVersion}\n OS/Arch:      ${server.Os}/${server.Arch}\n${components}`
  );
}

export default command;
