import { connect, type Socket } from "node:net";
import { BerthError } from "@berth/errors";
import type { MonitorAnswer, MonitorEvent, MonitorFailure, MonitorRequest, MonitorState } from "./protocol.ts";

/** An answer is a line; anything longer is not one. */
const maxLine = 1 << 20;
const defaultTimeoutMs = 30_000;

/** The monitor refused or could not do what was asked. `failure.code` is an errno name. */
export class MonitorError extends Error {
  readonly failure: MonitorFailure;
  readonly exitCode: number | undefined;
  constructor(failure: MonitorFailure, exitCode?: number) {
    super(failure.message);
    this.name = "MonitorError";
    this.failure = failure;
    this.exitCode = exitCode;
  }
}

/** Nobody answers at the socket: the container has ended, or its monitor was killed. */
export class MonitorGone extends Error {
  constructor(path: string, cause?: unknown) {
    super(`no monitor answers at ${path}`, { cause });
    this.name = "MonitorGone";
  }
}

export interface Subscription {
  /** The answer to `subscribe`; rejects with MonitorGone if the monitor never answered. */
  readonly state: Promise<MonitorState>;
  close(): void;
}

/** Speaks to one container's monitor: a connection a request. */
export class MonitorClient {
  readonly socketPath: string;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  /** Asks and gives the answer's fields. Throws MonitorError, MonitorGone, or DEADLINE. */
  async request<T = object>(request: MonitorRequest, timeoutMs = defaultTimeoutMs): Promise<T> {
    const { answer, socket } = await this.#open<T>(request, { timeoutMs });
    socket.destroy();
    return answer;
  }

  /**
   * Asks, and gives the connection when the answer was good: what follows on it is the stream. Paused, nothing lost. Waits as
   * long as it takes, for a monitor that is yet to start; rejects with the signal's reason when that aborts first.
   */
  stream<T = object>(
    request: MonitorRequest,
    signal?: AbortSignal,
  ): Promise<{ answer: T; socket: Socket; head: Buffer }> {
    return this.#open<T>(request, { signal });
  }

  /** Events until the monitor ends; `onEnd` is called once, after the last event. */
  subscribe(onEvent: (event: MonitorEvent) => void, onEnd: () => void): Subscription {
    const socket = connect({ path: this.socketPath });
    socket.write(`${JSON.stringify({ op: "subscribe" })}\n`);
    const { promise, resolve, reject } = Promise.withResolvers<MonitorState>();
    promise.catch(() => undefined);
    let answered = false;
    let ended = false;
    let rest = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      rest += chunk;
      if (rest.length > maxLine) return void socket.destroy();
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (answered) onEvent(JSON.parse(line) as MonitorEvent);
        else {
          answered = true;
          const answer = JSON.parse(line) as MonitorAnswer<MonitorState>;
          if (answer.ok) resolve(answer);
          else reject(new MonitorError(answer.error));
        }
      }
    });
    const end = (cause?: unknown) => {
      if (ended) return;
      ended = true;
      reject(new MonitorGone(this.socketPath, cause));
      onEnd();
    };
    socket.on("error", end);
    socket.on("close", () => end());
    return { state: promise, close: () => socket.destroy() };
  }

  #open<T>(
    request: MonitorRequest,
    { timeoutMs, signal }: { timeoutMs?: number; signal?: AbortSignal | undefined },
  ): Promise<{ answer: T; socket: Socket; head: Buffer }> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const { promise, resolve, reject } = Promise.withResolvers<{ answer: T; socket: Socket; head: Buffer }>();
    // A half-open connection is how a client says "no more input" and still reads.
    const socket = connect({ path: this.socketPath, allowHalfOpen: true });
    const fail = (error: Error) => {
      settled();
      socket.destroy();
      reject(error);
    };
    const abort = () => fail(signal?.reason as Error);
    const settled = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    };
    signal?.addEventListener("abort", abort, { once: true });
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(
            () => fail(new BerthError("DEADLINE", `the monitor did not answer "${request.op}" in ${timeoutMs} ms`)),
            timeoutMs,
          );
    const chunks: Buffer[] = [];
    let size = 0;
    const onError = (error: Error) => fail(new MonitorGone(this.socketPath, error));
    const onClose = () => fail(new MonitorGone(this.socketPath));
    socket.on("error", onError);
    socket.on("end", onClose);
    socket.on("close", onClose);
    const onData = (chunk: Buffer) => {
      const newline = chunk.indexOf(10);
      chunks.push(chunk);
      size += chunk.length;
      if (newline < 0) {
        if (size > maxLine) onClose();
        return;
      }
      settled();
      socket.pause();
      for (const [event, listener] of [
        ["data", onData],
        ["error", onError],
        ["end", onClose],
        ["close", onClose],
      ] as const) {
        socket.off(event, listener as () => void);
      }
      // Until its new owner listens, and after: an error is followed by the end, which is what owners look at.
      socket.on("error", () => {});
      const all = Buffer.concat(chunks);
      const end = size - chunk.length + newline;
      const answer = JSON.parse(all.toString("utf8", 0, end)) as MonitorAnswer<T>;
      if (!answer.ok) return fail(new MonitorError(answer.error, answer.exitCode));
      resolve({ answer, socket, head: all.subarray(end + 1) });
    };
    socket.on("data", onData);
    socket.write(`${JSON.stringify(request)}\n`);
    return promise;
  }
}
