import { BerthError } from "@berth/errors";
import { invalid } from "../errors.ts";

export interface Subnet {
  /** First address, as a number. */
  base: number;
  prefix: number;
}

export function parseSubnet(text: string): Subnet {
  const match = /^(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})\/(\d{1,2})$/.exec(text);
  const prefix = Number(match?.[2]);
  const address = match ? toNumber(match[1] ?? "") : Number.NaN;
  if (Number.isNaN(address) || prefix > 32) throw invalid(`"${text}" is not an IPv4 subnet (172.17.0.0/16)`);
  return { base: prefix === 0 ? 0 : ((address >>> (32 - prefix)) << (32 - prefix)) >>> 0, prefix };
}

export function toNumber(address: string): number {
  const parts = address.split(".").map(Number);
  if (parts.length !== 4 || parts.some((part) => !(part >= 0 && part <= 255))) return Number.NaN;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

export const toText = (address: number): string =>
  [address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255].join(".");

export const subnetText = ({ base, prefix }: Subnet): string => `${toText(base)}/${prefix}`;

const sizeOf = ({ prefix }: Subnet): number => 2 ** (32 - prefix);

export const overlaps = (a: Subnet, b: Subnet): boolean => a.base < b.base + sizeOf(b) && b.base < a.base + sizeOf(a);

/** Docker's own order of default pools. */
const candidates = Array.from({ length: 15 }, (_, index) => `172.${17 + index}.0.0/16`);

/** The first default pool that none of the host's routes overlaps. Throws RESOURCE_EXHAUSTED when all are taken. */
export function choosePool(routes: readonly string[]): Subnet {
  const taken = routes.flatMap((route) => {
    // A route to a single host has no prefix length.
    const subnet = parseSubnet(route.includes("/") ? route : `${route}/32`);
    return subnet.prefix === 0 ? [] : [subnet];
  });
  const found = candidates.map(parseSubnet).find((candidate) => !taken.some((other) => overlaps(candidate, other)));
  if (found) return found;
  throw new BerthError("RESOURCE_EXHAUSTED", "all predefined address pools have been fully subnetted");
}

/** Addresses of one subnet. The first is the gateway's, network and broadcast address are nobody's. */
export class AddressPool {
  readonly subnet: Subnet;
  readonly #taken = new Set<number>();
  #next: number;

  constructor(subnet: Subnet) {
    if (subnet.prefix < 8 || subnet.prefix > 30)
      throw invalid(`the subnet ${subnetText(subnet)} must be between /8 and /30`);
    this.subnet = subnet;
    this.#next = subnet.base + 2;
  }

  get gateway(): string {
    return toText(this.subnet.base + 1);
  }

  get used(): number {
    return this.#taken.size;
  }

  /**
   * A free address. Goes round the subnet instead of taking the lowest, so that an address just given back is not at once
   * another container's, to which late packets and caches would go. Throws RESOURCE_EXHAUSTED.
   */
  take(): string {
    const first = this.subnet.base + 2;
    const last = this.subnet.base + sizeOf(this.subnet) - 2;
    for (let tried = 0; tried <= last - first; tried++) {
      const address = this.#next;
      this.#next = address >= last ? first : address + 1;
      if (this.#taken.has(address)) continue;
      this.#taken.add(address);
      return toText(address);
    }
    throw new BerthError("RESOURCE_EXHAUSTED", "no available IPv4 addresses on this network's address pools: bridge");
  }

  /** Marks an address that a running container has. False when it is taken already or not of this subnet. */
  reserve(address: string): boolean {
    const number = toNumber(address);
    if (Number.isNaN(number) || !overlaps(this.subnet, { base: number, prefix: 32 }) || this.#taken.has(number))
      return false;
    this.#taken.add(number);
    return true;
  }

  release(address: string): void {
    this.#taken.delete(toNumber(address));
  }
}
