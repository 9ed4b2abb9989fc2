import { randomBytes } from "node:crypto";
import { closeSync } from "node:fs";
import { isIPv6 } from "node:net";
import { BerthError, errorMessage } from "@berth/errors";
import type { Logger } from "@berth/log";
import { newId, newMac } from "../ids.ts";
import type { ContainerRecord, Endpoint, PublishedPort } from "../model.ts";
import { type PortRequest, parseContainerPort, parsePortRequests } from "../validate/ports.ts";
import type { NetworkDriver } from "./driver.ts";
import { AddressPool, choosePool, parseSubnet, subnetText } from "./pool.ts";
import { type Hold, PortAllocator, PortTaken } from "./ports.ts";
import { addPortsText, deletePortsText, deleteTableText, type PortRule, replacePortsText, tableText } from "./rules.ts";

export interface BridgeConfig {
  name: string;
  /** "172.17.0.0/16", or empty: the first default pool that is free. */
  subnet: string;
  mtu: number;
}

interface Held {
  address: string;
  hostInterface: string;
  holds: Hold[];
  rules: PortRule[];
  published: PublishedPort[];
}

/**
 * The default bridge. Made when the first container needs it; its rules stay while containers run, also without this process,
 * and go with the last one (`close`). Containers there reach each other by address and the world through the host's.
 */
export class BridgeNetwork {
  readonly id: string;
  readonly #config: BridgeConfig;
  readonly #driver: NetworkDriver;
  readonly #log: Logger;
  readonly #ports = new PortAllocator();
  readonly #held = new Map<string, Held>();
  readonly #remember: (subnet: string) => Promise<void>;
  /** There is, or may be, a bridge of ours: made by this process or by one before it. */
  #made = false;
  /** The maps of published ports may hold what a process before this one left. */
  #stalePorts = true;
  #pool: AddressPool | undefined;
  #ready: Promise<AddressPool> | undefined;

  /** `remember` keeps the subnet (empty: there is no bridge) for the process after this one: see useSubnet(). */
  constructor(
    id: string,
    config: BridgeConfig,
    driver: NetworkDriver,
    log: Logger,
    remember: (subnet: string) => Promise<void> = async () => {},
  ) {
    this.#remember = remember;
    this.id = id;
    this.#config = config;
    this.#driver = driver;
    this.#log = log;
  }

  /** Empty until the bridge is made. */
  get subnet(): string {
    return this.#pool ? subnetText(this.#pool.subnet) : "";
  }
  get gateway(): string {
    return this.#pool?.gateway ?? "";
  }
  get name(): string {
    return this.#config.name;
  }
  get mtu(): number {
    return this.#config.mtu;
  }

  /** Makes bridge and rules if they are missing. Also tells the subnet, which inspect shows before any container runs. */
  ensure(): Promise<AddressPool> {
    this.#ready ??= this.#make().catch((error: unknown) => {
      this.#ready = undefined;
      throw new BerthError(
        "INTERNAL",
        `failed to set up container networking: ${errorMessage(error)}`,
        {},
        { cause: error },
      );
    });
    return this.#ready;
  }

  async #make(): Promise<AddressPool> {
    const pool = (this.#pool ??= await this.#choose());
    const { name, mtu } = this.#config;
    if (!this.#made) await this.#remember(subnetText(pool.subnet));
    this.#made = true;
    await this.#driver.ensureBridge({ name, address: `${pool.gateway}/${pool.subnet.prefix}`, mtu });
    const clean = this.#stalePorts ? `\n${replacePortsText([])}` : "";
    await this.#driver.nft(tableText({ bridge: name, subnet: subnetText(pool.subnet) }) + clean);
    this.#stalePorts = false;
    return pool;
  }

  async #choose(): Promise<AddressPool> {
    const { subnet } = this.#config;
    return new AddressPool(subnet !== "" ? parseSubnet(subnet) : choosePool(await this.#driver.routes()));
  }

  /** What the process before this one remembered. A pool is kept between restarts, as running containers have its addresses. */
  useSubnet(subnet: string): void {
    if (subnet === "") return;
    this.#made = true;
    if (this.#config.subnet === "") this.#pool = new AddressPool(parseSubnet(subnet));
  }

  /** Takes an address for a container; nothing is made yet. */
  async reserve(record: ContainerRecord): Promise<Endpoint> {
    const pool = await this.ensure();
    const macAddress = record.spec.endpoints[0]?.macAddress || record.spec.config.macAddress || newMac();
    const hostInterface = `veth${randomBytes(4).toString("hex").slice(0, 7)}`;
    const address = pool.take();
    this.#held.set(record.id, { address, hostInterface, holds: [], rules: [], published: [] });
    return {
      network: "bridge",
      networkId: this.id,
      endpointId: newId(),
      hostInterface,
      gateway: pool.gateway,
      ipAddress: address,
      ipPrefixLen: pool.subnet.prefix,
      macAddress: macAddress.toLowerCase().replaceAll("-", ":"),
      aliases: [],
    };
  }

  /** Makes what was reserved: namespace (the caller's to close), veth pair, published ports. detach() is the caller's on failure. */
  async connect(record: ContainerRecord, endpoint: Endpoint): Promise<{ namespace: number; ports: PublishedPort[] }> {
    const held = this.#held.get(record.id);
    if (!held) throw new BerthError("INTERNAL", `container ${record.id} has no reserved address`);
    const [linked, published] = await Promise.allSettled([
      this.#link(endpoint),
      this.#publish(record, held, endpoint.endpointId),
    ]);
    if (linked.status === "rejected") throw linked.reason;
    if (published.status === "fulfilled") return { namespace: linked.value, ports: held.published };
    closeSync(linked.value);
    throw published.reason;
  }

  async #link(endpoint: Endpoint): Promise<number> {
    const namespace = await this.#driver.createNamespace();
    try {
      await this.#driver.createEndpoint({
        namespace,
        bridge: this.#config.name,
        hostInterface: endpoint.hostInterface,
        name: "eth0",
        mac: endpoint.macAddress,
        address: `${endpoint.ipAddress}/${endpoint.ipPrefixLen}`,
        gateway: endpoint.gateway,
        mtu: this.#config.mtu,
      });
      return namespace;
    } catch (error) {
      closeSync(namespace);
      throw error;
    }
  }

  async #publish(record: ContainerRecord, held: Held, endpointId: string): Promise<void> {
    const requests = parsePortRequests(record.spec.config, record.spec.hostConfig);
    // What must be one port first: one that may be any must not take it.
    const isFixed = ({ hostPortFirst, hostPortLast }: PortRequest) =>
      hostPortFirst !== 0 && hostPortFirst === hostPortLast;
    const ordered = [...requests.filter(isFixed), ...requests.filter((request) => !isFixed(request))];
    for (const request of ordered) {
      const target = { address: held.address, port: request.containerPort };
      const holds = await this.#ports.allocate(request, target).catch((error: unknown) => {
        throw error instanceof PortTaken ? portFailure(record, request, endpointId, held.address, error) : error;
      });
      keep(held, request, holds);
    }
    if (held.rules.length > 0) await this.#driver.nft(addPortsText(held.rules));
  }

  /** Gives address, ports and rules back. The veth pair goes with the namespace, by the kernel. Never throws. */
  async detach(id: string): Promise<void> {
    const held = this.#held.get(id);
    if (!held) return;
    this.#held.delete(id);
    if (held.rules.length > 0) {
      await this.#driver.nft(deletePortsText(held.rules)).catch((error: unknown) => {
        this.#log.warn({ container: id, err: errorMessage(error) }, "cannot take a published port out of the rules");
      });
    }
    for (const hold of held.holds) hold.release();
    this.#pool?.release(held.address);
  }

  /** Takes up what running containers have since before this process: addresses, ports; then rules that say exactly that. */
  async adopt(records: readonly ContainerRecord[]): Promise<void> {
    const own = records.filter((record) => record.endpoints.some((endpoint) => endpoint.network === "bridge"));
    // What one that was killed left, and no container needs any more, goes with this process (`close`).
    if (own.length === 0) return;
    // Replaced below, in one step: what is published must not be away for a moment.
    this.#stalePorts = false;
    const pool = await this.ensure();
    const rules: PortRule[] = [];
    for (const record of own) {
      const endpoint = record.endpoints.find(({ network }) => network === "bridge");
      if (!endpoint) continue;
      pool.reserve(endpoint.ipAddress);
      const { ipAddress: address, hostInterface } = endpoint;
      const held: Held = { address, hostInterface, holds: [], rules: [], published: [] };
      for (const port of record.ports) {
        if (port.hostPort === 0) continue;
        const published = parseContainerPort(port.containerPort);
        if (published === undefined) continue;
        const { port: containerPort, protocol } = published;
        const { hostIp, hostPort } = port;
        const request = { containerPort, protocol, hostIp, hostPortFirst: hostPort, hostPortLast: hostPort };
        keep(held, request, await this.#ports.adopt(request, { address, port: containerPort }));
      }
      this.#held.set(record.id, held);
      rules.push(...held.rules);
    }
    await this.#driver.nft(replacePortsText(rules));
  }

  /**
   * At the end of the process: with no container left, bridge and rules go, also those of a process before this one that was
   * killed; else all stays as it is.
   */
  async close(): Promise<void> {
    if (!this.#made || this.#held.size > 0) return;
    await this.#driver.nft(deleteTableText);
    await this.#driver.removeLink(this.#config.name);
    this.#ready = undefined;
    this.#made = false;
    await this.#remember("");
  }
}

function keep(held: Held, { protocol, containerPort: port }: PortRequest, holds: readonly Hold[]): void {
  held.holds.push(...holds);
  for (const { hostIp, hostPort } of holds) {
    held.published.push({ containerPort: `${port}/${protocol}`, hostIp, hostPort });
    // The rules know IPv4 only; to IPv6 the hold itself answers.
    const ip = hostIp === "0.0.0.0" ? "" : hostIp;
    if (!isIPv6(ip)) held.rules.push({ protocol, hostIp: ip, hostPort, address: held.address, port });
  }
}

/** Docker's words, which compose and people look for. */
function portFailure(
  record: ContainerRecord,
  request: PortRequest,
  endpointId: string,
  address: string,
  taken: PortTaken,
): BerthError {
  const { hostPortFirst: first, hostPortLast: last, containerPort, protocol } = request;
  const ports = first === last ? first : `${first}-${last}`;
  const bound = isIPv6(taken.hostIp) ? `[${taken.hostIp}]` : taken.hostIp;
  const refused = taken.hostIp === "" ? taken.message : `Bind for ${taken.hostIp}:${ports} failed: ${taken.message}`;
  const why =
    taken.bind === ""
      ? refused
      : `failed to bind host port for ${bound}:${ports}:${address}:${containerPort}/${protocol}: ${taken.bind}`;
  const what = `driver failed programming external connectivity on endpoint ${record.name} (${endpointId}): ${why}`;
  return new BerthError("INTERNAL", `failed to set up container networking: ${what}`);
}
