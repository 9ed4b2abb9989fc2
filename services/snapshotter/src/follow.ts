import type { Bus } from "@berth/bus";

/** ns; how far the clocks of hosts may be apart. Events of this long ago are heard again, which only costs a look. */
const skewNs = 300_000_000_000n;

/**
 * Calls `changed` whenever the images of a store may have changed: now, when an event says so, when an image store comes, and after
 * NATS was away. Resolves when the signal aborts.
 */
export async function followImages(bus: Bus, changed: () => void, signal: AbortSignal): Promise<void> {
  const stores = () => bus.instances("image-store").map(({ instanceId }) => instanceId);
  let known = new Set(stores());
  const stops = [
    bus.onInstances(() => {
      const now = stores();
      const isNews = now.some((id) => !known.has(id));
      known = new Set(now);
      if (isNews) changed();
    }),
    bus.onConnected((connected) => {
      if (connected) changed();
    }),
  ];
  changed();
  try {
    const since = BigInt(Date.now()) * 1_000_000n - skewNs;
    for await (const _ of bus.events({ since, types: ["image"], signal })) changed();
  } finally {
    for (const stop of stops) stop();
  }
}
