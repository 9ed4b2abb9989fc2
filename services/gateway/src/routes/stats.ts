import { BerthError } from "@berth/errors";
import type { Containers } from "../domain/containers.ts";
import { sendJson, startStream } from "../http/answer.ts";
import type { Api } from "../http/server.ts";
import type { StatsResponse } from "../rpc/types.ts";
import { statsJson } from "../shapes/stats.ts";
import { write } from "../streams/remote.ts";

/** Engine API: GET /containers/{id}/stats. */
export function statsRoutes(api: Api, containers: Containers): void {
  api.on("GET", "/containers/{name}/stats", async ({ name, query, res, signal }) => {
    const follow = query.flag("stream", true);
    const isOneShot = query.flag("one-shot");
    if (follow && isOneShot) throw new BerthError("INVALID_ARGUMENT", "cannot have stream=true and one-shot=true");
    const supervisor = await containers.supervisorOf(name, signal);
    if (isOneShot) {
      const stats = await supervisor.readStats({ container: name }, { signal });
      const { name: shown, id, ...reading } = statsJson(stats, undefined);
      // As Docker: a reading without a look back does not say whose it is.
      sendJson(res, 200, stats.onlineCpus > 0 ? reading : { name: shown, id, ...reading });
      return;
    }
    let previous: StatsResponse | undefined;
    for await (const stats of supervisor.stats({ container: name, follow: true }, { signal })) {
      const isRunning = stats.onlineCpus > 0;
      // One answer with something to compare it with takes two readings, a second apart.
      if (!follow && previous === undefined && isRunning) {
        previous = stats;
        continue;
      }
      if (!follow) {
        sendJson(res, 200, statsJson(stats, previous));
        return;
      }
      if (!res.headersSent) startStream(res, "application/json");
      await write(res, Buffer.from(`${JSON.stringify(statsJson(stats, previous))}\n`));
      previous = stats;
    }
    if (!res.headersSent && previous !== undefined) sendJson(res, 200, statsJson(previous, undefined));
    else res.end();
  });
}
