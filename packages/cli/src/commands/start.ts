import { any, type Command } from "../command.ts";
import { UsageError } from "../flags.ts";
import { followResize, joinStreams } from "../terminal.ts";
import { detachFlag, detachKeysOf } from "./attach.ts";
import { containerPath, forEach } from "./each.ts";
import { forwardSignals } from "./signals.ts";

const command: Command = {
  usage: "start [OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Start stopped containers",
  flags: [
    { name: "attach", short: "a", type: "bool", help: "Join its output and exit with its code" },
    { name: "interactive", short: "i", type: "bool", help: "Join its input" },
    detachFlag,
  ],
  examples: ["berth start web", "berth start -ai shell"],
  args: [1, any],
  async run(context) {
    const { engine, flags, args, warn } = context;
    if (!flags.bool("attach") && !flags.bool("interactive")) {
      return forEach(context, async (name) => {
        await engine.run("POST", containerPath(name, "/start"));
        return name;
      });
    }
    const [name = ""] = args;
    if (args.length > 1) throw new UsageError("you cannot start and attach multiple containers at once");
    const { Id, Config } = await engine.json<{ Id: string; Config: { Tty: boolean; OpenStdin: boolean } }>(
      "GET",
      containerPath(name, "/json"),
    );
    const stdin = flags.bool("interactive") && Config.OpenStdin;
    const waiting = await engine.open("POST", containerPath(Id, "/wait"), { query: { condition: "next-exit" } });
    const { socket, framed } = await engine.hijack(containerPath(Id, "/attach"), {
      query: { stream: true, stdin, stdout: true, stderr: true },
    });
    const tty = Config.Tty;
    const joined = joinStreams({
      socket,
      framed: framed && !tty,
      stdin,
      tty,
      detachKeys: detachKeysOf(flags.text("detach-keys")),
    });
    joined.catch(() => {});
    await engine.run("POST", containerPath(Id, "/start"));
    const stop = tty ? followResize(engine, containerPath(Id, "/resize")) : forwardSignals(engine, Id);
    const detached = await joined;
    stop();
    if (detached) {
      warn("read escape sequence");
      return 0;
    }
    let text = "";
    for await (const chunk of waiting as AsyncIterable<Buffer>) text += chunk.toString("utf8");
    return (JSON.parse(text) as { StatusCode: number }).StatusCode;
  },
};

export default command;
