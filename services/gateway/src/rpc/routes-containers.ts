import { CreateRequest, InspectResponse, ListNetworksResponse, ListRequest, ListResponse } from "@berth/api/containers";
import { decodeMessage, encodeMessage, readText, withText } from "@berth/rpc";
import type { Containers } from "../domain/containers.ts";
import { listNetworks } from "../domain/networks.ts";
import { isMissing } from "../domain/nodes/nodes.ts";
import { noWish } from "../domain/nodes/placement.ts";
import type { Hop, Passed, Refused, Routes } from "./proxy.ts";
import type { SupervisorDefinition } from "./types.ts";

/** Field numbers of containers.v1. */
const container = 1;
const resizedExec = 2;
const idempotencyKey = 3;
/** Of an answer that tells what was made, its id. */
const made = 1;
/** Of a stream's first request, its start. */
const start = 1;

/** Containers of all nodes, as one node's: berth.containers.v1.Supervisor. */
export function containerRoutes(containers: Containers): Routes<typeof SupervisorDefinition> {
  const { nodes } = containers;
  const nodeOf = async (name: string, signal: AbortSignal): Promise<Hop> => (await nodes.of(name, signal)).nodeId;
  const nodeOfExec = async (id: string, signal: AbortSignal): Promise<Hop> => (await nodes.ofExec(id, signal)).nodeId;
  const anyNode = async (signal: AbortSignal): Promise<Hop> => (await nodes.some(signal))[0]?.nodeId;
  /** What is no message, names nobody, or somebody whom no node has: any node says so in its own words. */
  const find =
    (path: number[], look: typeof nodeOf): Passed["to"] =>
    async (request, signal) => {
      const text = readText(request, path);
      if (!text) return anyNode(signal);
      try {
        return await look(text, signal);
      } catch (error) {
        if (isMissing(error)) return anyNode(signal);
        throw error;
      }
    };
  const remember = (_request: Buffer, answer: Buffer, hop: Hop) => {
    const id = readText(answer, [made]);
    if (id !== undefined && hop !== undefined) nodes.remember(id, hop);
  };

  const byContainer: Passed = { to: find([container], nodeOf) };
  const byExec: Passed = { to: find([container], nodeOfExec) };
  const byFirst: Passed = { to: find([start, container], nodeOf) };

  return {
    create: {
      async to(request) {
        const key = readText(request, [idempotencyKey]);
        const wish = () => {
          const { spec } = decodeMessage(CreateRequest, request);
          return spec === undefined ? noWish : containers.wishOf(spec);
        };
        return (await nodes.forNew(wish, key || undefined)).nodeId;
      },
      answered: remember,
    },
    start: byContainer,
    stop: byContainer,
    restart: byContainer,
    kill: byContainer,
    pause: byContainer,
    unpause: byContainer,
    rename: byContainer,
    update: byContainer,
    remove: {
      // A link is "parent/alias", and the parent's.
      to: find([container], (name, signal) => nodeOf(name.replace(/^(.+)\/[^/]*$/, "$1"), signal)),
      answered: (request) => containers.forget(readText(request, [container]) ?? ""),
    },
    wait: byContainer,
    inspect: {
      async gather(request, ask, signal) {
        const name = readText(request, [container]);
        // What is known of it while its node is away.
        if (name && nodes.findAway(name) !== undefined)
          return encodeMessage(InspectResponse, { container: await containers.inspect(name, false, signal) });
        return ask((await byContainer.to(request, signal)) ?? "");
      },
    },
    list: {
      async gather(request, ask, signal) {
        const [first, second] = await nodes.some(signal);
        if (first !== undefined && second === undefined && !nodes.isCluster) return ask(first.nodeId);
        const found = await containers.list(decodeMessage(ListRequest, request), signal);
        return encodeMessage(ListResponse, { containers: found });
      },
    },
    top: byContainer,
    stats: byContainer,
    readStats: byContainer,
    resize: {
      to(request, signal) {
        const exec = readText(request, [resizedExec]);
        return exec ? nodeOfExec(exec, signal) : byContainer.to(request, signal);
      },
    },
    logs: { ...byContainer, change: withoutHost(13) },
    attach: byFirst,
    openAttach: local("Attach"),
    createExec: { ...byContainer, answered: remember },
    startExec: { to: find([start, container], nodeOfExec) },
    openExec: local("StartExec"),
    inspectExec: byExec,
    statPath: byContainer,
    readArchive: { ...byContainer, change: withoutHost(3) },
    writeArchive: byFirst,
    receiveArchive: local("WriteArchive"),
    export: { ...byContainer, change: withoutHost(2) },
    changes: byContainer,
    commit: byContainer,
    listNetworks: {
      async gather(_request, ask, signal) {
        const [first, second] = await nodes.some(signal);
        if (first !== undefined && second === undefined) return ask(first.nodeId);
        return encodeMessage(ListNetworksResponse, { networks: await listNetworks(nodes, signal) });
      },
    },
    nodeInfo: { refused: "it tells of one node; ask berth.nodes.v1.Nodes" },
  };
}

/** For callers on a node's own host. */
const local = (instead: string): Refused => ({
  refused: `it is for callers on the host of the node, and asked there; call ${instead}`,
});

/**
 * A caller that says on which host it is would be sent past gRPC to a socket there. Who asks a gateway is given the bytes: the short cut is for
 * those who know the node, as the gateway does. `field` is that of the host's id.
 */
export const withoutHost =
  (field: number): NonNullable<Passed["change"]> =>
  (request) =>
    readText(request, [field]) ? withText(request, field, "") : request;
