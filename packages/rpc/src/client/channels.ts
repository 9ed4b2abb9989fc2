import { BerthError } from "@berth/errors";
import type { Logger } from "@berth/log";
import { Channel } from "@grpc/grpc-js";
import { grpcTarget, parseAddress } from "../address.ts";
import { channelOptions } from "../options.ts";
import { channelCredentials, type Expected, Identities, type TlsFiles } from "../tls.ts";

/** grpc-js' connectivityState, whose numbers are fixed by gRPC. */
const ready = 2;

/** One channel an address, for the life of the process or until nobody announces the address any more. */
export class Channels {
  readonly #channels = new Map<string, Channel>();
  readonly #identities: Identities | undefined;
  readonly #log: Logger | undefined;
  readonly #beforeClose: (channel: Channel) => void;

  constructor(tls: TlsFiles & { log?: Logger | undefined }, beforeClose: (channel: Channel) => void) {
    this.#identities = Identities.open(tls, tls.log);
    this.#log = tls.log;
    this.#beforeClose = beforeClose;
  }

  /** `place`: an address, or one with whom it must lead to (see {@link placeOf}). */
  get(place: string): Channel {
    const known = this.#channels.get(place);
    if (known !== undefined) return known;
    const [address = "", role, nodeId] = place.split("#");
    const parsed = parseAddress(address);
    const expected: Expected | undefined = role === undefined || nodeId === undefined ? undefined : { role, nodeId };
    // Not nice-grpc's createChannel: it appends a port to "unix:/path".
    const credentials = channelCredentials(parsed, this.#identities, expected, this.#log);
    const channel = new Channel(grpcTarget(parsed), credentials, channelOptions(parsed.kind === "tcp"));
    this.#channels.set(place, channel);
    return channel;
  }

  /** Forgets channels to addresses that are not in `live`. Their calls under way go on to their end. */
  retain(live: ReadonlySet<string>): void {
    for (const [place, channel] of this.#channels) {
      if (live.has(place.split("#")[0] ?? "")) continue;
      this.#channels.delete(place);
      this.#beforeClose(channel);
      channel.close();
    }
  }

  close(): void {
    this.retain(new Set());
    this.#identities?.close();
  }
}

/** An address on another host, and whose it is said to be: its certificate has to say the same. */
export const placeOf = (address: string, { role, nodeId }: Expected): string => `${address}#${role}#${nodeId}`;

export const isReady = (channel: Channel): boolean => channel.getConnectivityState(true) === ready;

/** Waits until the channel is connected. Throws UNAVAILABLE after `ms`, or the signal's reason. */
export async function waitReady(channel: Channel, ms: number, what: string, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + ms;
  for (;;) {
    signal.throwIfAborted();
    const state = channel.getConnectivityState(true);
    if (state === ready) return;
    if (Date.now() >= deadline) throw new BerthError("UNAVAILABLE", `${what} does not answer`);
    // In steps, so that an abort is seen soon: the watch itself can't be cancelled.
    const step = Math.min(deadline, Date.now() + 250);
    await new Promise<void>((resolve) => channel.watchConnectivityState(state, step, () => resolve()));
  }
}
