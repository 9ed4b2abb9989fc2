import { any, type Command, type Context } from "../command.ts";
import { EngineError } from "../engine/client.ts";
import { followResize, joinStreams } from "../terminal.ts";
import { detachFlag, detachKeysOf } from "./attach.ts";
import { containerFlags } from "./container-flags.ts";
import { containerPath } from "./each.ts";
import { makeContainer } from "./make.ts";
import { forwardSignals } from "./signals.ts";

const command: Command = {
  usage: "run [OPTIONS] IMAGE [COMMAND] [ARG...]",
  summary: "Make a container from an image and run it",
  flags: [
    { name: "detach", short: "d", type: "bool", help: "Run in the background and print the id" },
    detachFlag,
    { name: "sig-proxy", type: "bool", help: "Pass signals on to the container (default true)" },
    ...containerFlags,
  ],
  examples: [
    "berth run --rm busybox echo hello",
    "berth run -it debian bash",
    "berth run -d --name web -p 8080:80 nginx",
    "echo hello | berth run -i --rm busybox cat",
  ],
  args: [1, any],
  interspersed: false,
  // docker's code for "the engine, not the container, failed"
  failure: 125,
  async run(context) {
    const keys = detachKeysOf(context.flags.text("detach-keys"));
    const id = await makeContainer(context, true);
    if (!context.flags.bool("detach")) return runInForeground(context, id, keys);
    const code = await start(context, id);
    if (code === 0) await context.print(`${id}\n`);
    return code;
  },
};

async function runInForeground(context: Context, id: string, detachKeys: Buffer): Promise<number> {
  const { engine, flags, warn } = context;
  const tty = flags.bool("tty");
  const named = flags.list("attach").map((name) => name.toLowerCase());
  const wants = (name: string) => named.length === 0 || named.includes(name);
  const stdin = flags.bool("interactive") && wants("stdin");
  // The wait is registered before the start: a container that is gone at once is not missed.
  const condition = flags.bool("rm") ? "removed" : "next-exit";
  const waiting = await engine.open("POST", containerPath(id, "/wait"), { query: { condition } });
  const query = { stream: true, stdin, stdout: wants("stdout"), stderr: wants("stderr") };
  const { socket, framed } = await engine.hijack(containerPath(id, "/attach"), { query });
  const joined = joinStreams({ socket, framed: framed && !tty, stdin, tty, detachKeys });
  joined.catch(() => {});
  const failed = await start(context, id);
  if (failed !== 0) {
    waiting.destroy();
    socket.destroy();
    return failed;
  }
  const stopResize = tty ? followResize(engine, containerPath(id, "/resize")) : () => {};
  const stopSignals = tty || flags.text("sig-proxy") === "false" ? () => {} : forwardSignals(engine, id);
  const detached = await joined;
  stopResize();
  stopSignals();
  if (detached) {
    waiting.destroy();
    warn("read escape sequence");
    return 0;
  }
  return exitCode(waiting);
}

async function exitCode(waiting: AsyncIterable<Buffer>): Promise<number> {
  let text = "";
  for await (const chunk of waiting) text += chunk.toString("utf8");
  const answer = JSON.parse(text) as { StatusCode: number; Error?: { Message: string } | null };
  if (answer.Error) throw new EngineError(500, answer.Error.Message);
  return answer.StatusCode;
}

/** 0, or docker's codes for a program that can't be run (126) or found (127), or any other failure (125). */
async function start({ engine, flags, warn }: Context, id: string): Promise<number> {
  try {
    await engine.run("POST", containerPath(id, "/start"));
    return 0;
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    warn(`berth: Error response from engine: ${error.message}`);
    // An engine removes a container that never ran by itself when it was asked to.
    if (flags.bool("rm")) await engine.run("DELETE", containerPath(id), { query: { force: true } }).catch(() => {});
    return startFailureCode(error.message);
  }
}

export function startFailureCode(message: string): number {
  if (/executable file not found|no such file or directory|system cannot find the file/i.test(message)) return 127;
  if (/permission denied|is a directory|not a directory|exec format error/i.test(message)) return 126;
  return 125;
}

export default command;
