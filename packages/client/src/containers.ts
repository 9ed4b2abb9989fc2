import type {
  Container,
  ContainerSummary,
  DeepPartial,
  Resources,
  RestartPolicy,
  StatsResponse,
} from "@berth/api/containers";
import { BerthError } from "@berth/errors";
import { type CreateContainer, specOf } from "./create.ts";
import type { Events } from "./events.ts";
import { Execs } from "./execs.ts";
import { Files } from "./files.ts";
import type { OutputPiece } from "./frames.ts";
import type { Images } from "./images.ts";
import { given, type Link } from "./link.ts";
import { type LogsQuery, readLog } from "./logs.ts";
import { type Moment, timestampOf } from "./moment.ts";
import type { CallOptions } from "./options.ts";
import { ContainerStreams } from "./streams.ts";
import { type Filters, filterValues } from "./volumes.ts";
import { type Exit, type WaitFor, waitForExit } from "./wait.ts";

export interface ListContainers {
  /** Those that do not run as well. */
  all?: boolean | undefined;
  /** The newest ones alone. */
  limit?: number | undefined;
  /** The Engine API's, but `before` and `since`: { label: ["a=b"], status: ["exited"] } */
  filters?: Filters | undefined;
  createdBefore?: Moment | undefined;
  createdAfter?: Moment | undefined;
  /** How much each takes on disk. */
  size?: boolean | undefined;
}

export interface AttachOptions {
  /** false unless given */
  stdin?: boolean | undefined;
  /** true unless given */
  stdout?: boolean | undefined;
  /** true unless given */
  stderr?: boolean | undefined;
  /** What the container has written so far comes first. */
  replay?: boolean | undefined;
}

/** A wait that the engine knows of. */
export interface Waiting {
  /** @throws what the engine says */
  readonly exit: Promise<Exit>;
}

/** ms; what may wait for layers to be unpacked, or for a busy kernel. */
const slow = 150_000;
const forever = Number.POSITIVE_INFINITY;

/**
 * Containers of all nodes, by id, unambiguous id prefix or name. Errors: NO_SUCH_CONTAINER, NAME_IN_USE, NOT_MODIFIED (it is so already),
 * CONTAINER_RUNNING, CONTAINER_NOT_RUNNING, CONTAINER_PAUSED, START_FAILED, INVALID_ARGUMENT.
 */
export class Containers {
  readonly files: Files;
  readonly execs: Execs;
  readonly #link: Link;
  readonly #images: Images;
  readonly #events: Events;

  /** @internal */
  constructor(link: Link, images: Images, events: Events) {
    this.#link = link;
    this.#images = images;
    this.#events = events;
    this.files = new Files(link);
    this.execs = new Execs(link);
  }

  /** @throws NO_SUCH_IMAGE as well: nothing is pulled */
  async create(options: CreateContainer, call: CallOptions = {}): Promise<{ id: string; warnings: string[] }> {
    const { name = "", image: reference, platform, idempotencyKey = "" } = options;
    const image = await this.#images.inspect(reference, { ...call, platform });
    const spec = await specOf(options, image, (mounted) => this.#images.inspect(mounted, call));
    const request = { name: name.replace(/^\//, ""), spec, idempotencyKey };
    const patient = { ...call, timeoutMs: call.timeoutMs ?? slow };
    if (idempotencyKey === "")
      return this.#link.once(({ supervisor }, how) => supervisor.create(request, how), patient);
    return this.#link.again(({ supervisor }, how) => supervisor.create(request, how), patient);
  }

  async start(container: string, call: CallOptions = {}): Promise<void> {
    await this.#link.once(({ supervisor }, how) => supervisor.start({ container }, how), call, slow);
  }

  /** `timeout`: seconds until it is killed, the container's own unless given, for ever if negative. */
  async stop(container: string, options: CallOptions & StopOptions = {}): Promise<void> {
    await this.#link.once(({ supervisor }, how) => supervisor.stop(stopOf(container, options), how), options, forever);
  }

  async restart(container: string, options: CallOptions & StopOptions = {}): Promise<void> {
    await this.#link.once(
      ({ supervisor }, how) => supervisor.restart(stopOf(container, options), how),
      options,
      forever,
    );
  }

  /** `signal`: "SIGTERM", "TERM" or "15". */
  async kill(container: string, signal = "SIGKILL", call: CallOptions = {}): Promise<void> {
    await this.#link.once(({ supervisor }, how) => supervisor.kill({ container, signal }, how), call);
  }

  async pause(container: string, call: CallOptions = {}): Promise<void> {
    await this.#link.once(({ supervisor }, how) => supervisor.pause({ container }, how), call);
  }

  async unpause(container: string, call: CallOptions = {}): Promise<void> {
    await this.#link.once(({ supervisor }, how) => supervisor.unpause({ container }, how), call);
  }

  async rename(container: string, name: string, call: CallOptions = {}): Promise<void> {
    await this.#link.once(({ supervisor }, how) => supervisor.rename({ container, name }, how), call);
  }

  /** Changes limits and the restart policy of one that may run. Gives warnings. */
  async update(container: string, changes: UpdateContainer, call: CallOptions = {}): Promise<string[]> {
    const request = { container, ...changes };
    return (await this.#link.once(({ supervisor }, how) => supervisor.update(request, how), call)).warnings;
  }

  /** `force`: even while it runs. `volumes`: with its anonymous volumes. */
  async remove(container: string, options: CallOptions & RemoveOptions = {}): Promise<void> {
    const { force = false, volumes = false, ...call } = options;
    const request = { container, force, volumes };
    await this.#link.once(({ supervisor }, how) => supervisor.remove(request, how), call, slow);
  }

  async inspect(
    container: string,
    { size = false, ...call }: CallOptions & { size?: boolean } = {},
  ): Promise<Container> {
    const answer = await this.#link.again(({ supervisor }, how) => supervisor.inspect({ container, size }, how), call);
    if (answer.container === undefined) throw new BerthError("INTERNAL", "the engine's answer has no container");
    return answer.container;
  }

  /** Newest first. */
  async list(options: ListContainers = {}, call: CallOptions = {}): Promise<ContainerSummary[]> {
    const { all = false, limit = 0, filters = {}, size = false, createdBefore, createdAfter } = options;
    const times = { createdBefore: timestampOf(createdBefore), createdAfter: timestampOf(createdAfter) };
    const request = { all, limit, size, filters: filterValues(filters), ...times };
    return (await this.#link.again(({ supervisor }, how) => supervisor.list(request, how), call)).containers;
  }

  /** Resolves once the engine waits: of what happens from then on nothing is missed. Outlasts losses of the connection. */
  async beginWait(container: string, condition: WaitFor = "not-running", call: CallOptions = {}): Promise<Waiting> {
    const registered = Promise.withResolvers<void>();
    const parts = { link: this.#link, events: this.#events };
    const exit = waitForExit(parts, { container, condition }, registered.resolve, call);
    exit.catch(registered.reject);
    await registered.promise;
    return { exit };
  }

  async wait(container: string, condition: WaitFor = "not-running", call: CallOptions = {}): Promise<Exit> {
    return (await this.beginWait(container, condition, call)).exit;
  }

  /** What the container has written, with `follow` what it goes on to write. Outlasts losses of the connection. */
  async *logs(container: string, query: LogsQuery = {}): AsyncGenerator<OutputPiece> {
    // By its id: a name may come to mean another container while this one's log is followed.
    const { id, spec } = await this.inspect(container, { signal: query.signal });
    yield* readLog(this.#link, { id, tty: spec?.config?.tty ?? false }, query);
  }

  /** The streams of its first process. Before a start, to miss nothing of it. */
  attach(
    container: string,
    options: AttachOptions = {},
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<ContainerStreams> {
    const { stdin = false, stdout = true, stderr = true, replay = false } = options;
    const { supervisor } = this.#link.services;
    const start = { container, stdin, stdout, stderr, replay };
    return ContainerStreams.open((requests, how) => supervisor.attach(requests, how), start, signal);
  }

  async resize(container: string, rows: number, columns: number, call: CallOptions = {}): Promise<void> {
    await this.#link.once(({ supervisor }, how) => supervisor.resize({ container, rows, columns }, how), call);
  }

  /** Its processes, as ps shows them. */
  async top(
    container: string,
    psArgs = "-ef",
    call: CallOptions = {},
  ): Promise<{ titles: string[]; rows: string[][] }> {
    const request = { container, psArgs };
    const { titles, processes } = await this.#link.again(({ supervisor }, how) => supervisor.top(request, how), call);
    return { titles, rows: processes.map(({ columns }) => columns) };
  }

  /** One reading a second, until the container is removed or the signal aborts. */
  stats(container: string, { signal }: { signal?: AbortSignal } = {}): AsyncIterable<StatsResponse> {
    return this.#link.services.supervisor.stats({ container, follow: true }, given({ signal }));
  }

  readStats(container: string, call: CallOptions = {}): Promise<StatsResponse> {
    return this.#link.again(({ supervisor }, how) => supervisor.readStats({ container }, how), call);
  }
}

export interface StopOptions {
  timeout?: number | undefined;
  /** The container's own stop signal unless given; see {@link Containers.kill} for its forms. */
  stopSignal?: string | undefined;
}

export interface RemoveOptions {
  force?: boolean | undefined;
  volumes?: boolean | undefined;
}

export interface UpdateContainer {
  /** Fields that are nought or absent stay as they are. */
  resources?: DeepPartial<Resources>;
  restartPolicy?: DeepPartial<RestartPolicy>;
}

const stopOf = (container: string, { timeout, stopSignal = "" }: StopOptions) => ({
  container,
  signal: stopSignal,
  ...(timeout !== undefined && { timeout }),
});
