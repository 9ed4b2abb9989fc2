import type { Command } from "../command.ts";
import { type Flag, UsageError } from "../flags.ts";
import { followResize, joinStreams, parseDetachKeys } from "../terminal.ts";
import { containerPath } from "./each.ts";
import { forwardSignals } from "./signals.ts";

export const detachFlag: Flag = {
  name: "detach-keys",
  type: "string",
  help: "Keys that leave the container running (default ctrl-p,ctrl-q)",
};

/** @throws UsageError */
export function detachKeysOf(text: string | undefined): Buffer {
  const keys = parseDetachKeys(text);
  if (keys === undefined)
    throw new UsageError(`invalid detach keys "${text}", expected letters and ctrl-LETTER separated by commas`);
  return keys;
}

interface Inspected {
  Id: string;
  State: { Running: boolean; Paused: boolean };
  Config: { Tty: boolean; OpenStdin: boolean };
}

const command: Command = {
  usage: "attach [OPTIONS] CONTAINER",
  summary: "Join a running container's terminal or streams",
  flags: [
    detachFlag,
    { name: "no-stdin", type: "bool", help: "Do not send our input" },
    { name: "sig-proxy", type: "bool", help: "Pass signals on to the container (default true)" },
  ],
  examples: ["berth attach web", "berth attach --no-stdin web"],
  args: [1, 1],
  async run({ engine, flags, args: [name = ""], warn }) {
    const keys = detachKeysOf(flags.text("detach-keys"));
    const { Id, State, Config } = await engine.json<Inspected>("GET", containerPath(name, "/json"));
    if (!State.Running) throw new UsageError("You cannot attach to a stopped container, start it first");
    if (State.Paused) throw new UsageError("You cannot attach to a paused container, unpause it first");
    const stdin = Config.OpenStdin && !flags.bool("no-stdin");
    const waiting = engine.json<{ StatusCode: number }>("POST", containerPath(Id, "/wait"));
    waiting.catch(() => {});
    const { socket, framed } = await engine.hijack(containerPath(Id, "/attach"), {
      query: { stream: true, stdin, stdout: true, stderr: true },
    });
    const stopSignals = !Config.Tty && flags.text("sig-proxy") !== "false" ? forwardSignals(engine, Id) : () => {};
    const stopResize = Config.Tty ? followResize(engine, containerPath(Id, "/resize")) : () => {};
    const detached = await joinStreams({
      socket,
      framed: framed && !Config.Tty,
      stdin,
      tty: Config.Tty,
      detachKeys: keys,
    });
    stopResize();
    stopSignals();
    if (detached) {
      warn("read escape sequence");
      return 0;
    }
    return (await waiting).StatusCode;
  },
};

export default command;
