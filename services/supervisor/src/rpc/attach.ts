import type { AttachRequest, StartExecRequest, SupervisorDefinition } from "@berth/api/containers";
import { BerthError } from "@berth/errors";
import type { Implementation } from "@berth/rpc";
import { attachStream, prepareAttach } from "../domain/containers/attach.ts";
import type { Container } from "../domain/containers/container.ts";
import type { Engine } from "../domain/engine.ts";
import { invalid } from "../domain/errors.ts";
import { beginExec, findExec, runExec } from "../domain/exec/exec.ts";
import { readLogs, sendLogs } from "../domain/logs/logs.ts";
import type { MonitorRequest } from "../domain/monitor/protocol.ts";
import { nanoOf } from "./encode.ts";
import { bridge, type Input } from "./streams.ts";

/** Streams: attach, exec start, logs. A caller on this host is told the monitor's socket instead of being given the bytes. */
export function streamCalls(engine: Engine): Implementation<typeof SupervisorDefinition> {
  const { parts } = engine;
  const checkLocal = (hostId: string) => {
    if (hostId !== parts.hostId) throw invalid("the caller is on another host than the container");
  };
  const ready = (tty: boolean) => ({ message: { $case: "ready" as const, value: { tty } } });

  return {
    async *attach(requests, { signal }) {
      const input = requests[Symbol.asyncIterator]();
      const start = startOf<Extract<AttachRequest["message"], { $case: "start" }>["value"]>(await input.next());
      const container = engine.find(start.container);
      const { stdin, stdout, stderr, replay } = start;
      const request = await prepareAttach(parts, container, { stdin, stdout, stderr, replay }, start.container);
      // Ready before the stream is there: it comes when the container starts, which the caller has yet to ask for.
      yield ready(container.record.spec.config.tty);
      const { answer, socket, head } = await attachStream(container, request, signal);
      if (replay && answer.log !== undefined) {
        const options = { ...wholeLog, stdout, stderr, end: answer.log };
        for await (const { data } of readLogs(parts, container, options, signal))
          yield { message: { $case: "data" as const, value: data } };
      }
      yield* bridge(socket, head, inputOf(input), signal);
    },

    async openAttach({ container: name, stdin, stdout, stderr, replay, hostId }) {
      checkLocal(hostId);
      const container = engine.find(name);
      return opened(container, await prepareAttach(parts, container, { stdin, stdout, stderr, replay }, name));
    },

    async *startExec(requests, { signal }) {
      const input = requests[Symbol.asyncIterator]();
      const start = startOf<Extract<StartExecRequest["message"], { $case: "start" }>["value"]>(await input.next());
      const { detach, consoleSize } = start;
      const { exec } = findExec(parts, start.exec);
      const { socket, head } = await runExec(parts, start.exec, { detach, consoleSize });
      yield ready(exec.tty);
      if (!detach) yield* bridge(socket, head, inputOf(input), signal);
    },

    async openExec({ exec, consoleSize, hostId }) {
      checkLocal(hostId);
      const { container, request } = beginExec(parts, exec, { detach: false, consoleSize });
      return opened(container, request);
    },

    async *logs(request, { signal }) {
      const container = engine.find(request.container);
      if (!request.stdout && !request.stderr) throw invalid("Bad parameters: you must choose at least one stream");
      const options = {
        stdout: request.stdout,
        stderr: request.stderr,
        since: nanoOf(request.since),
        until: nanoOf(request.until),
        tail: request.tail,
        timestamps: request.timestamps,
        follow: request.follow,
        details: request.details,
        ...(request.endFile !== "" && { end: { file: request.endFile, offset: request.endOffset } }),
        from: request.from,
      };
      if (request.follow || request.hostId !== parts.hostId) {
        yield* readLogs(parts, container, options, signal);
        return;
      }
      const socket = parts.paths.inbox();
      const { done } = await sendLogs(parts, container, options, socket, signal);
      yield { handover: { socket } };
      await done;
    },
  };
}

const wholeLog = {
  since: undefined,
  until: undefined,
  tail: undefined,
  timestamps: false,
  follow: false,
  details: false,
};

function opened(container: Container, request: MonitorRequest) {
  const socket = container.monitor.socketPath;
  return { stream: { socket, request: Buffer.from(`${JSON.stringify(request)}\n`) } };
}

type Message = { message?: { $case: string; value?: unknown } | undefined };

function startOf<Start>({ value, done }: IteratorResult<Message, unknown>): Start {
  const message = done ? undefined : (value as Message).message;
  if (message?.$case !== "start") throw new BerthError("INVALID_ARGUMENT", "the first message must be start");
  return message.value as Start;
}

async function* inputOf(input: AsyncIterator<Message>): AsyncGenerator<Input> {
  for (;;) {
    const { value, done } = await input.next();
    if (done) return;
    if (value.message !== undefined) yield value.message as Input;
  }
}
