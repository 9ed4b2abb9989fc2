import { any, type Command } from "../command.ts";
import { UsageError } from "../flags.ts";
import { followResize, joinStreams } from "../terminal.ts";
import { detachFlag, detachKeysOf } from "./attach.ts";
import { variables } from "./container-body.ts";
import { containerPath } from "./each.ts";

const command: Command = {
  usage: "exec [OPTIONS] CONTAINER COMMAND [ARG...]",
  summary: "Run a command in a running container",
  flags: [
    { name: "detach", short: "d", type: "bool", help: "Do not wait for it" },
    detachFlag,
    { name: "env", short: "e", type: "list", value: "key=value", help: "Set a variable" },
    { name: "env-file", type: "list", value: "file", help: "Read variables from a file" },
    { name: "interactive", short: "i", type: "bool", help: "Keep stdin open" },
    { name: "privileged", type: "bool", help: "All rights of the host" },
    { name: "tty", short: "t", type: "bool", help: "Give it a terminal" },
    { name: "user", short: "u", type: "string", value: "user[:group]", help: "User to run as" },
    { name: "workdir", short: "w", type: "string", value: "path", help: "Working directory" },
  ],
  examples: ["berth exec web ls /", "berth exec -it web sh", "echo hi | berth exec -i web cat"],
  args: [2, any],
  interspersed: false,
  async run({ engine, flags, args: [name = "", ...cmd], warn }) {
    const keys = detachKeysOf(flags.text("detach-keys"));
    const tty = flags.bool("tty");
    const detach = flags.bool("detach");
    const stdin = flags.bool("interactive") && !detach;
    if (tty && stdin && !process.stdin.isTTY) throw new UsageError("the input device is not a TTY");
    const consoleSize =
      tty && process.stdout.isTTY ? { ConsoleSize: [process.stdout.rows, process.stdout.columns] } : {};
    const body = {
      Cmd: cmd,
      Tty: tty,
      AttachStdin: stdin,
      AttachStdout: !detach,
      AttachStderr: !detach,
      Env: variables(flags),
      User: flags.text("user") ?? "",
      WorkingDir: flags.text("workdir") ?? "",
      Privileged: flags.bool("privileged"),
      ...consoleSize,
    };
    const { Id } = await engine.json<{ Id: string }>("POST", containerPath(name, "/exec"), { body });
    if (detach) {
      await engine.run("POST", `/exec/${Id}/start`, { body: { Detach: true, Tty: tty } });
      return 0;
    }
    const { socket, framed } = await engine.hijack(`/exec/${Id}/start`, {
      body: { Detach: false, Tty: tty, ...consoleSize },
    });
    const stop = tty ? followResize(engine, `/exec/${Id}/resize`) : () => {};
    const detached = await joinStreams({ socket, framed: framed && !tty, stdin, tty, detachKeys: keys });
    stop();
    if (detached) {
      warn("read escape sequence");
      return 0;
    }
    const { ExitCode } = await engine.json<{ ExitCode: number | null }>("GET", `/exec/${Id}/json`);
    return ExitCode ?? 0;
  },
};

export default command;
