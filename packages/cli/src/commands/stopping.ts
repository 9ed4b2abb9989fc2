import { any, type Command } from "../command.ts";
import { containerPath, forEach } from "./each.ts";

/** `stop` and `restart` take the same flags and ask the same of the engine, by another word. */
export function stoppingCommand(word: "stop" | "restart", summary: string): Command {
  return {
    usage: `${word} [OPTIONS] CONTAINER [CONTAINER...]`,
    summary,
    flags: [
      {
        name: "signal",
        short: "s",
        type: "string",
        help: "Signal to send first (default: the container's own, SIGTERM)",
      },
      {
        name: "timeout",
        short: "t",
        type: "int",
        value: "seconds",
        help: "Seconds to wait before it is killed (default 10, -1: for ever)",
      },
      { name: "time", type: "int", value: "seconds", help: "The same as --timeout" },
    ],
    examples: [`berth ${word} web`, `berth ${word} -t 1 web db`],
    args: [1, any],
    run: (context) =>
      forEach(context, async (name) => {
        const { flags } = context;
        const query = { signal: flags.text("signal"), t: flags.int("timeout") ?? flags.int("time") };
        await context.engine.run("POST", containerPath(name, `/${word}`), { query });
        return name;
      }),
  };
}
