import { ImageStoreDefinition } from "@berth/api/images";
import type { Bus } from "@berth/bus";
import { BerthError } from "@berth/errors";
import type { Clients } from "@berth/rpc";
import type { NamedLayers } from "../domain/collector.ts";

export { ImageStoreDefinition };

/**
 * All image stores there are, the site's own among them: layers may come from the images of any, and a store that is away
 * must not look like one without images.
 */
export function imageStoreLayers(bus: Bus, clients: Clients, site: string): NamedLayers {
  return {
    async chainIds(signal) {
      const stores = bus.instances("image-store");
      if (!stores.some((store) => store.site === site))
        throw new BerthError("UNAVAILABLE", "the site's image store is away: unpacked layers are kept for now");
      const lists = await Promise.all(
        stores.map(({ instanceId }) =>
          clients
            .client(ImageStoreDefinition, "image-store", { instanceId })
            .listImages({ all: true, brief: true }, { signal }),
        ),
      );
      return new Set(lists.flatMap(({ images }) => images.flatMap(({ layers }) => layers.map((l) => l.chainId))));
    },
  };
}
