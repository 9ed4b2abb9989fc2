import type { Credentials, ServerState, NatsServers as Servers } from "@berth/bus";
import { BerthError, errorMessage } from "@berth/errors";
import { modeOf, type NatsAuthority, type NatsPlace, type NatsPlan, natsPlace, serverNameOf } from "@berth/identity";
import type { Logger } from "@berth/log";
import type { MemberRecord } from "./records.ts";

export interface NatsServersParts {
  plan: NatsPlan;
  /** On the disk before it resolves. */
  keep(plan: NatsPlan): Promise<void>;
  /** Tells every host. */
  announce(): void;
  servers: Servers;
  nats: NatsAuthority;
  members(): MemberRecord[];
  /** Whether services of a node announce themselves now. */
  isHeard(nodeId: string): boolean;
  log: Logger;
}

/** Told what is done next, in a few words for people. */
export type Tell = (step: string) => void;

/** Of a user that is made for one change, ms. */
const userMs = 10 * 60_000;
/** Starting a server and joining its group takes some seconds; moving a gigabyte of events a minute. ms */
const patienceMs = 90_000;
const pauseMs = 250;
/** Between two words of what takes long. */
const tellMs = 10_000;
const sizes = [1, 3, 5];

/**
 * Which hosts run NATS: 1, 3 or 5. A server that was alone gets others in two steps. They make a cluster while it serves on
 * ("forming"); then its host carries the streams there and starts it as one of them ("moving"), a few seconds in which NATS is away.
 * Everything else happens under way: servers come into the group before streams get more copies, and leave it when they have
 * fewer. A server that will be alone is given all streams first: alone it takes over what it has.
 */
export class NatsServers {
  readonly #parts: NatsServersParts;
  #plan: NatsPlan;
  #changing: Promise<unknown> = Promise.resolve();
  /** Who is told of the change under way. */
  #tell: Tell = () => {};

  constructor(parts: NatsServersParts) {
    this.#parts = parts;
    this.#plan = parts.plan;
  }

  get plan(): NatsPlan {
    return this.#plan;
  }

  /** @throws NOT_FOUND, CONFLICT (a node that is away, an even number), UNAVAILABLE when it takes too long */
  promote(nodes: readonly string[], tell: Tell = () => {}): Promise<NatsPlan> {
    return this.#alone(tell, async () => {
      const added = nodes.map((node) => this.#member(node));
      for (const { nodeId, name } of added) {
        if (this.#has(nodeId)) throw new BerthError("CONFLICT", `node ${name} runs a NATS server already`);
        if (!this.#parts.isHeard(nodeId))
          throw new BerthError("CONFLICT", `node ${name} is away: only a node that is there can start a NATS server`);
      }
      checkSize(this.#plan.servers.length + new Set(added).size);
      const version = this.#plan.version + 1;
      const servers = [...this.#plan.servers, ...[...new Set(added)].map((member) => placeOf(member, version))];
      const [alone, ...others] = this.#plan.servers;
      if (alone !== undefined && others.length === 0) await this.#grow(alone, servers);
      else await this.#extend(servers);
      return this.#plan;
    });
  }

  /**
   * `force`: also a server that is away for good.
   * @throws NOT_FOUND, CONFLICT (no server, an even number, one that is away), UNAVAILABLE
   */
  demote(nodes: readonly string[], force: boolean, tell: Tell = () => {}): Promise<NatsPlan> {
    return this.#alone(tell, async () => {
      const leaving = new Set(nodes.map((node) => this.#server(node)));
      const servers = this.#plan.servers.filter((server) => !leaving.has(server));
      if (servers.length === 0) throw new BerthError("CONFLICT", "one node has to run NATS");
      if (!force) checkSize(servers.length);
      const away = await this.#away([...leaving]);
      if (away.length > 0 && !force)
        throw new BerthError(
          "CONFLICT",
          `the NATS server of ${names(away)} is away; if it does not come back, demote it with --force`,
        );
      const [last, ...others] = servers;
      if (last !== undefined && others.length === 0) await this.#shrinkToOne(last, force);
      else await this.#shrink([...leaving], servers);
      return this.#plan;
    });
  }

  /** After a restart: what was begun is finished. */
  resume(): void {
    const { growth, servers } = this.#plan;
    const from = servers.find(({ nodeId }) => nodeId === growth?.from);
    if (growth === undefined || from === undefined) return;
    const finish = async () => {
      if (growth.stage === "forming") await this.#set([from]);
      else await this.#finishMove(servers);
    };
    const tell = (step: string) => this.#parts.log.info(step);
    void this.#alone(tell, finish).catch((error: unknown) =>
      this.#parts.log.error({ err: errorMessage(error) }, "the change of NATS servers is not finished"),
    );
  }

  async #grow(alone: NatsPlace, servers: readonly NatsPlace[]): Promise<void> {
    const since = this.#plan.version + 1;
    // As one of a cluster it is another server.
    const all = servers.map((server) => (server.nodeId === alone.nodeId ? { ...server, since } : server));
    const from = alone.nodeId;
    const others = all.filter(({ nodeId }) => nodeId !== from);
    this.#tell(`Starting NATS on ${names(others)}`);
    await this.#set(all, { from, stage: "forming" });
    try {
      await this.#untilGrouped(others, others);
    } catch (error) {
      await this.#set([alone]);
      throw error;
    }
    this.#tell(`Moving streams from ${alone.nodeName}: NATS is away for some seconds`);
    await this.#set(all, { from, stage: "moving" });
    await this.#finishMove(all);
  }

  async #finishMove(all: readonly NatsPlace[]): Promise<void> {
    await this.#untilGrouped(all, all);
    await this.#set(all);
    await this.#replicate(all);
  }

  async #extend(servers: readonly NatsPlace[]): Promise<void> {
    const before = this.#plan.servers;
    const added = servers.filter((server) => !before.includes(server));
    this.#tell(`Starting NATS on ${names(added)}`);
    await this.#set(servers);
    try {
      await this.#untilGrouped(servers, added);
    } catch (error) {
      await this.#set(before);
      throw error;
    }
    await this.#replicate(servers);
  }

  async #shrink(leaving: readonly NatsPlace[], servers: readonly NatsPlace[]): Promise<void> {
    const replicas = servers.length % 2 === 0 ? servers.length - 1 : servers.length;
    // Two of three go on with three copies, of which one is missing, until another is promoted.
    const staying = new Set(this.#plan.servers);
    if (replicas > 1) await this.#replicate([...staying], replicas);
    const system = await this.#systemUser();
    for (const server of leaving) {
      this.#tell(`Leaving ${server.nodeName}`);
      await this.#parts.servers.forget(urls(servers), serverNameOf(server), system);
      staying.delete(server);
      // What it had of streams is with another before the next one goes: two of three copies at once would be the majority.
      if (replicas > 1) await this.#replicate([...staying], replicas, urls(servers));
    }
    await this.#set(servers);
    if (servers.length % 2 === 1) await this.#replicate(servers);
  }

  async #shrinkToOne(last: NatsPlace, force: boolean): Promise<void> {
    this.#tell(`Bringing streams to ${last.nodeName}`);
    try {
      const signal = AbortSignal.timeout(patienceMs / (force ? 9 : 1));
      const users = await this.#users();
      await this.#parts.servers.gather(urls(this.#plan.servers), serverNameOf(last), users, signal);
    } catch (error) {
      if (!force) throw error;
      // There is no majority left to agree on anything: it goes on with what it has.
      this.#parts.log.warn({ err: errorMessage(error) }, "a NATS server goes on alone with the copies that it has");
    }
    this.#tell(`Starting NATS on ${last.nodeName} alone`);
    await this.#set([last]);
    const system = await this.#systemUser();
    await this.#until(`the NATS server of ${last.nodeName} does not serve alone`, async () => {
      return (await this.#parts.servers.state(last.url, system)).group === undefined;
    });
  }

  async #replicate(servers: readonly NatsPlace[], replicas = servers.length, asked = urls(servers)): Promise<void> {
    this.#tell(`Copying streams to ${names(servers)}`);
    const users = await this.#users();
    const wish = { replicas, among: servers.map(serverNameOf) };
    await this.#parts.servers.replicate(asked, wish, users, AbortSignal.timeout(patienceMs));
  }

  /** Waits until each of `asked` knows all of `members`, and whom they follow. */
  async #untilGrouped(members: readonly NatsPlace[], asked: readonly NatsPlace[]): Promise<void> {
    const system = await this.#systemUser();
    const expected = members.map(serverNameOf);
    const isIn = async (server: NatsPlace) => {
      const { name, group } = await this.#parts.servers.state(server.url, system);
      if (name !== serverNameOf(server)) throw new Error(`${name} answers at the address of ${server.nodeName}`);
      if (group?.leader === undefined) throw new Error(`the server of ${server.nodeName} knows no leader`);
      // Only the leader knows how far the others are.
      if (group.leader !== name) return expected.includes(group.leader);
      const isCurrent = (one: string) => group.peers.some((peer) => peer.name === one && peer.current);
      if (expected.every((one) => one === name || isCurrent(one))) return true;
      const words = group.peers.map(
        (peer) => `${peer.name}${peer.current ? "" : peer.offline ? " (away)" : " (behind)"}`,
      );
      throw new Error(`the leader ${name} knows ${words.join(", ") || "nobody"}`);
    };
    await this.#until(`the NATS servers of ${names(asked)} do not come together`, async () =>
      (await Promise.all(asked.map(isIn))).every(Boolean),
    );
    const leader = await this.#leaderOf(members, system);
    if (leader !== undefined)
      await this.#until(`the NATS servers of ${names(members)} are not complete`, () => isIn(leader));
  }

  async #leaderOf(members: readonly NatsPlace[], system: string): Promise<NatsPlace | undefined> {
    for (const server of members) {
      const state = await this.#parts.servers.state(server.url, system).catch(() => undefined);
      const found = members.find((member) => serverNameOf(member) === state?.group?.leader);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async #away(servers: readonly NatsPlace[]): Promise<NatsPlace[]> {
    const system = await this.#systemUser();
    const states = await Promise.all(
      servers.map((server) =>
        this.#parts.servers.state(server.url, system).catch((): ServerState | undefined => undefined),
      ),
    );
    return servers.filter((_, index) => states[index] === undefined);
  }

  async #set(servers: readonly NatsPlace[], growth?: NatsPlan["growth"]): Promise<void> {
    const plan = { version: this.#plan.version + 1, servers: [...servers], ...(growth && { growth }) };
    await this.#parts.keep(plan);
    this.#plan = plan;
    this.#parts.announce();
    this.#parts.log.info({ version: plan.version, growth, servers: names(servers) }, "who runs NATS was decided");
  }

  /** `what`: the trouble, should it never be so. */
  async #until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    const began = performance.now();
    let told = began;
    let last = "";
    for (;;) {
      try {
        if (await isSo()) return;
        last = "";
      } catch (error) {
        last = `: ${errorMessage(error)}`;
      }
      const now = performance.now();
      if (now > began + patienceMs) throw new BerthError("UNAVAILABLE", `${what} within ${patienceMs / 1000} s${last}`);
      if (now > told + tellMs) {
        told = now;
        this.#parts.log.warn({ seconds: Math.round((now - began) / 1000) }, `${what} yet${last}`);
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  #has(nodeId: string): boolean {
    return modeOf(this.#plan, nodeId) !== "none";
  }

  /** By id or name. */
  #member(node: string): MemberRecord {
    const members = this.#parts.members().filter(({ isOut }) => !isOut);
    const found = members.find(({ nodeId }) => nodeId === node) ?? members.find(({ name }) => name === node);
    if (found === undefined) throw new BerthError("NOT_FOUND", `No such node: ${node}`);
    return found;
  }

  #server(node: string): NatsPlace {
    const { servers } = this.#plan;
    const found = servers.find(({ nodeId }) => nodeId === node) ?? servers.find(({ nodeName }) => nodeName === node);
    if (found !== undefined) return found;
    throw new BerthError("CONFLICT", `node ${this.#member(node).name} runs no NATS server`);
  }

  #systemUser(): Promise<string> {
    return this.#parts.nats.systemCredentials(Date.now() + userMs);
  }

  async #users(): Promise<Credentials> {
    const streams = await this.#parts.nats.streamCredentials(Date.now() + userMs);
    return { streams, system: await this.#systemUser() };
  }

  #alone<T>(tell: Tell, work: () => Promise<T>): Promise<T> {
    const begin = () => {
      this.#tell = tell;
      return work();
    };
    const result = this.#changing.then(begin, begin);
    this.#changing = result.catch(() => undefined);
    return result;
  }
}

const urls = (servers: readonly NatsPlace[]): string[] => servers.map(({ url }) => url);
const names = (servers: readonly NatsPlace[]): string => servers.map(({ nodeName }) => nodeName).join(", ");

const placeOf = ({ nodeId, name, address, basePort }: MemberRecord, since: number): NatsPlace => ({
  ...natsPlace(nodeId, name, address, basePort),
  since,
});

function checkSize(count: number): void {
  if (sizes.includes(count)) return;
  const why =
    count % 2 === 0
      ? `${count} servers outlast no more failures than ${count - 1}: a majority of them must be there`
      : "more of them make every write slower";
  throw new BerthError("CONFLICT", `NATS would run on ${count} nodes, expected 1, 3 or 5 (${why})`);
}
