import type { InspectExecResponse } from "@berth/api/containers";
import { given, type Link } from "./link.ts";
import type { CallOptions } from "./options.ts";
import { ContainerStreams } from "./streams.ts";

/** A program to run in a container that runs (Engine API, "Create an exec instance"). */
export interface ExecOptions {
  cmd: readonly string[];
  env?: readonly string[] | undefined;
  user?: string | undefined;
  workingDir?: string | undefined;
  tty?: boolean | undefined;
  privileged?: boolean | undefined;
  /** It reads what is written to `stdin`; false unless given: it reads nothing. */
  stdin?: boolean | undefined;
  /** Rows and columns of its terminal. */
  size?: readonly [rows: number, columns: number] | undefined;
}

/** What is known of an exec. */
export type ExecState = InspectExecResponse;

/** A program under way. */
export interface RunningExec {
  readonly id: string;
  readonly streams: ContainerStreams;
  /** Resolves with its exit code once it has ended and its output is all in the streams: read them, or it may wait for ever. */
  exit(): Promise<number>;
}

/** Programs beside a container's first one. Errors: NO_SUCH_CONTAINER, NO_SUCH_EXEC, CONTAINER_NOT_RUNNING, START_FAILED. */
export class Execs {
  readonly #link: Link;

  /** @internal */
  constructor(link: Link) {
    this.#link = link;
  }

  /** Makes and starts one, with its streams. */
  async run(container: string, options: ExecOptions, call: CallOptions = {}): Promise<RunningExec> {
    const id = await this.#create(container, options, call);
    const start = { exec: id, detach: false, tty: options.tty ?? false, consoleSize: [...(options.size ?? [])] };
    const { supervisor } = this.#link.services;
    const streams = await ContainerStreams.open(
      (requests, how) => supervisor.startExec(requests, how),
      start,
      call.signal,
    );
    if (options.stdin !== true) streams.stdin.end();
    const exit = async (): Promise<number> => {
      await streams.done;
      return (await this.inspect(id, call)).exitCode ?? 0;
    };
    return { id, streams, exit };
  }

  /** Makes and starts one that nobody listens to. Gives its id. */
  async detached(container: string, options: ExecOptions, call: CallOptions = {}): Promise<string> {
    const exec = await this.#create(container, options, call);
    async function* requests() {
      yield { message: { $case: "start" as const, value: { exec, detach: true } } };
    }
    for await (const _ of this.#link.services.supervisor.startExec(requests(), given(call)));
    return exec;
  }

  inspect(exec: string, call: CallOptions = {}): Promise<ExecState> {
    return this.#link.again(({ supervisor }, how) => supervisor.inspectExec({ exec }, how), call);
  }

  async resize(exec: string, rows: number, columns: number, call: CallOptions = {}): Promise<void> {
    await this.#link.once(({ supervisor }, how) => supervisor.resize({ exec, rows, columns }, how), call);
  }

  async #create(container: string, options: ExecOptions, call: CallOptions): Promise<string> {
    const {
      cmd,
      env = [],
      user = "",
      workingDir = "",
      tty = false,
      privileged = false,
      stdin = false,
      size = [],
    } = options;
    const request = {
      container,
      cmd: [...cmd],
      env: [...env],
      user,
      workingDir,
      tty,
      privileged,
      attachStdin: stdin,
      attachStdout: true,
      attachStderr: true,
      consoleSize: [...size],
    };
    return (await this.#link.once(({ supervisor }, how) => supervisor.createExec(request, how), call)).id;
  }
}
