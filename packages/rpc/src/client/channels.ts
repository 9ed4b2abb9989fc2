import { BerthError } from "@berth/errors";
import { Channel } from "@grpc/grpc-js";
import { grpcTarget, parseAddress } from "../address.ts";
import { channelOptions } from "../options.ts";
import { channelCredentials, type TlsFiles } from "../tls.ts";

/** grpc-js' connectivityState, whose numbers are fixed by gRPC. */
const ready = 2;

/** One channel an address, for the life of the process or until nobody announces the address any more. */
export class Channels {
  readonly #channels = new Map<string, Channel>();
  readonly #tls: TlsFiles;
  readonly #beforeClose: (channel: Channel) => void;

  constructor(tls: TlsFiles, beforeClose: (channel: Channel) => void) {
    this.#tls = tls;
    this.#beforeClose = beforeClose;
  }

  get(address: string): Channel {
    const known = this.#channels.get(address);
    if (known !== undefined) return known;
    const parsed = parseAddress(address);
    // Not nice-grpc's createChannel: it appends a port to "unix:/path".
    const credentials = channelCredentials(parsed, this.#tls);
    const channel = new Channel(grpcTarget(parsed), credentials, channelOptions(parsed.kind === "tcp"));
    this.#channels.set(address, channel);
    return channel;
  }

  /** Forgets channels to addresses that are not in `live`. Their calls under way go on to their end. */
  retain(live: ReadonlySet<string>): void {
    for (const [address, channel] of this.#channels) {
      if (live.has(address)) continue;
      this.#channels.delete(address);
      this.#beforeClose(channel);
      channel.close();
    }
  }

  close(): void {
    this.retain(new Set());
  }
}

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
