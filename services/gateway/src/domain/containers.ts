import { BerthError, isBerthError } from "@berth/errors";
import type { Logger } from "@berth/log";
import { type ImageDefaults, matchesPlatform, mergeImage, parsePlatform } from "@berth/oci";
import type { Container, ContainerSpec, ContainerSummary, Image, Supervisor } from "../rpc/types.ts";
import type { CreateBody } from "./create/body.ts";
import { checkEndpoints } from "./create/endpoints.ts";
import { mountWarnings, resolveImages } from "./create/mounts.ts";
import { specOf } from "./create/spec.ts";
import { checkBeforeAll, checkCreate, checkName } from "./create/validate.ts";
import { adaptToVersion } from "./create/versions.ts";
import type { IdempotentRequest } from "./idempotency.ts";
import type { Images } from "./images.ts";
import { awayContainer, awaySummary, passesAway } from "./nodes/away-containers.ts";
import { type Node, type Nodes, options } from "./nodes/nodes.ts";
import type { Wish } from "./nodes/placement.ts";
import { ownWish, wishOf } from "./nodes/wish.ts";

export interface CreateCall {
  name: string;
  /** Adapted to its version in place. */
  body: CreateBody | null;
  platform: string;
  /** The Engine API's version of the call: 1.minor. */
  minor: number;
  /** Given to have a repetition answered with the first one's container. */
  once?: IdempotentRequest | undefined;
}

export interface ContainersOptions {
  nodes: Nodes;
  images: Images;
  /** Where a volume is already; nowhere: none. */
  nodesOfVolume: (name: string) => Promise<string[]>;
  log: Logger;
}

/** What of a container never changes, and that every attach asks for. */
export interface Terminal {
  id: string;
  tty: boolean;
  openStdin: boolean;
}

const maxTerminals = 10_000;
/** ms for one node of several: the others' containers are not to wait longer for it. */
const listTimeoutMs = 5_000;

/** What the gateway does with containers beyond passing calls on: create from an image, look-ups, listing all nodes. */
export class Containers {
  readonly nodes: Nodes;
  readonly #images: Images;
  readonly #nodesOfVolume: ContainersOptions["nodesOfVolume"];
  readonly #terminals = new Map<string, Terminal>();

  constructor({ nodes, images, nodesOfVolume }: ContainersOptions) {
    this.nodes = nodes;
    this.#images = images;
    this.#nodesOfVolume = nodesOfVolume;
  }

  /**
   * Makes a container from an Engine API body.
   * @throws INVALID_ARGUMENT, NO_SUCH_IMAGE, NAME_IN_USE, and what the supervisor finds wrong
   */
  async create({ name, body, platform, minor, once }: CreateCall): Promise<{ id: string; warnings: string[] }> {
    if (body === null || Object.keys(body).length === 0) {
      throw new BerthError("INVALID_ARGUMENT", "config cannot be empty in order to create a container");
    }
    // The platform came to this call with 1.41; before, it was a pull's alone.
    const wanted = platform === "" || minor < 41 ? undefined : parsePlatform(platform);
    checkBeforeAll(body);
    const adapted = adaptToVersion(body, minor);
    checkCreate(body);
    const reference = body.Image ?? "";
    const image = reference === "" ? undefined : await this.#images.get(reference);
    checkEndpoints(body);
    if (
      image !== undefined &&
      wanted !== undefined &&
      image.platform !== undefined &&
      !matchesPlatform(wanted, image.platform)
    ) {
      throw platformMismatch(reference, image, platform);
    }
    checkName(name);
    const merged = mergeImage(body, image === undefined ? {} : defaultsOf(image));
    const spec = specOf(body, merged, image);
    // Read-only did not reach what is mounted below a bind until 1.44.
    if (spec.hostConfig !== undefined) spec.hostConfig.readOnlyNonRecursive = minor < 44;
    await resolveImages(spec.hostConfig?.mounts ?? [], (source) => this.#images.get(source));
    const node = await this.nodes.forNew(() => this.wishOf(spec), once?.key);
    // Without a key of the client's, one of our own: a call that is tried again must not make two.
    const { key, digest } = once ?? { key: crypto.randomUUID(), digest: "" };
    const request = { name: name.replace(/^\//, ""), spec, idempotencyKey: key, requestDigest: digest };
    const { id, warnings } = await node.supervisor.create(request);
    this.nodes.remember(id, node.nodeId);
    this.#keepTerminal({ id, tty: body.Tty ?? false, openStdin: body.OpenStdin ?? false });
    return { id, warnings: [...mountWarnings(body.HostConfig), ...warnings, ...adapted] };
  }

  /** What a container asks of the node that it is made on. @throws INVALID_ARGUMENT, NO_SUCH_CONTAINER, UNAVAILABLE */
  async wishOf(spec: ContainerSpec): Promise<Wish> {
    if (!this.nodes.isCluster) return ownWish(spec);
    return wishOf(spec, {
      nodeOfContainer: async (reference) => (await this.nodes.of(reference)).nodeId,
      nodesOfVolume: this.#nodesOfVolume,
    });
  }

  /** The supervisor that has the container. @throws NO_SUCH_CONTAINER, UNAVAILABLE */
  async supervisorOf(container: string, signal?: AbortSignal): Promise<Supervisor> {
    return (await this.nodes.of(container, signal)).supervisor;
  }

  async inspect(container: string, size = false, signal?: AbortSignal): Promise<Container> {
    const away = this.nodes.findAway(container);
    if (away !== undefined) return awayContainer(away.container, away.record);
    const supervisor = await this.supervisorOf(container, signal);
    const { container: found } = await supervisor.inspect({ container, size }, options(signal));
    if (found === undefined) throw new BerthError("NO_SUCH_CONTAINER", `No such container: ${container}`);
    return found;
  }

  /** Whether a container has a terminal: asked once for each, since it never changes. */
  async terminal(container: string, signal?: AbortSignal): Promise<Terminal> {
    const known = this.#terminals.get(container);
    if (known !== undefined) return known;
    const { id, spec } = await this.inspect(container, false, signal);
    const terminal = { id, tty: spec?.config?.tty ?? false, openStdin: spec?.config?.openStdin ?? false };
    this.#keepTerminal(terminal);
    return terminal;
  }

  forget(container: string): void {
    this.#terminals.delete(container);
    this.nodes.forget(container);
  }

  /**
   * Containers of all nodes, newest first. Of a node that is away what is known without it is shown. One that does not answer
   * is left out unless none answers, or `whole` is asked for: what is done to things that no container uses must know of all.
   */
  async list(
    request: Parameters<Supervisor["list"]>[0],
    signal?: AbortSignal,
    whole = false,
  ): Promise<ContainerSummary[]> {
    const nodes = await this.nodes.some(signal);
    const first = nodes[0] as Node;
    if (nodes.length === 1 && !this.nodes.isCluster)
      return (await first.supervisor.list(request, options(signal))).containers;
    const call = { ...options(signal), timeoutMs: listTimeoutMs };
    const answers = await Promise.allSettled(nodes.map(({ supervisor }) => supervisor.list(request, call)));
    const lists = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value.containers] : []));
    const failed = answers.find((answer) => answer.status === "rejected");
    if ((whole || lists.length === 0) && failed?.status === "rejected") throw failed.reason;
    const mute = nodes.filter((_, index) => answers[index]?.status === "rejected").map(({ nodeId }) => nodeId);
    const unreachable = this.#unreachable(new Set(mute), request.filters ?? {});
    const merged = this.#once([...lists.flat(), ...unreachable]).sort(newestFirst);
    for (const { id, nodeId } of merged) this.nodes.remember(id, nodeId);
    const limit = request.limit ?? 0;
    return limit > 0 ? merged.slice(0, limit) : merged;
  }

  #unreachable(mute: ReadonlySet<string>, filters: Parameters<typeof passesAway>[1]): ContainerSummary[] {
    return [...this.nodes.away(), ...this.nodes.mute(mute)]
      .flatMap(({ record, containers }) => containers.map((container) => awaySummary(container, record)))
      .filter((summary) => passesAway(summary, filters));
  }

  /** How a listing shows a container's image: by the name it was made with, while that still means the same image. */
  async imageName({ image: name, imageId: id }: ContainerSummary): Promise<string> {
    if (name === "" || name === id || id === "") return name;
    try {
      return (await this.#images.get(name)).id === id ? name : id;
    } catch (error) {
      // The tag is gone; or the store is, and then the name is the better answer.
      return isBerthError(error) && error.reason === "NO_SUCH_IMAGE" ? id : name;
    }
  }

  /** For a moment of its move a container is on two nodes: the one that has its name counts. */
  #once(summaries: ContainerSummary[]): ContainerSummary[] {
    const byId = new Map<string, ContainerSummary>();
    for (const summary of summaries) {
      const known = byId.get(summary.id);
      if (known === undefined || this.nodes.ownerOf(summary.id) === summary.nodeId) byId.set(summary.id, summary);
    }
    return byId.size === summaries.length ? summaries : [...byId.values()];
  }

  #keepTerminal(terminal: Terminal): void {
    if (this.#terminals.size >= maxTerminals) this.#terminals.clear();
    this.#terminals.set(terminal.id, terminal);
  }
}

/** The same order at every gateway. */
function newestFirst(a: ContainerSummary, b: ContainerSummary): number {
  const [x, y] = [a.created, b.created];
  return (y?.seconds ?? 0) - (x?.seconds ?? 0) || (y?.nanos ?? 0) - (x?.nanos ?? 0) || (a.id < b.id ? -1 : 1);
}

const decoder = new TextDecoder();
const parsedDefaults = new WeakMap<Image, ImageDefaults>();

/** The image's "config" object, parsed once for each image looked up. */
function defaultsOf(image: Image): ImageDefaults {
  let defaults = parsedDefaults.get(image);
  if (defaults === undefined) {
    const whole = JSON.parse(decoder.decode(image.config)) as { config?: ImageDefaults | null };
    defaults = whole.config ?? {};
    parsedDefaults.set(image, defaults);
  }
  return defaults;
}

function platformMismatch(reference: string, image: Image, platform: string): BerthError {
  const has = image.platform === undefined ? "" : `${image.platform.os}/${image.platform.architecture}`;
  return new BerthError(
    "NO_SUCH_IMAGE",
    `image with reference ${reference} was found but its platform (${has}) does not match the specified platform (${platform})`,
  );
}
