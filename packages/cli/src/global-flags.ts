import type { Flag } from "./flags.ts";

/** Flags that come before the command. */
export const globalFlags: readonly Flag[] = [
  { name: "host", short: "H", type: "string", help: "Engine to talk to, unix:///PATH or tcp://HOST:PORT" },
  { name: "help", short: "h", type: "bool", help: "Show help" },
  { name: "version", short: "v", type: "bool", help: "Show the version" },
];

/** Every command has it. */
export const helpFlag: Flag = { name: "help", type: "bool", help: "Show help" };
