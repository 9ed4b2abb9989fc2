import { BerthError, isBerthError } from "@berth/errors";
import type { Volumes } from "../domain/volumes.ts";
import { sendEmpty, sendJson } from "../http/answer.ts";
import { readJson } from "../http/body.ts";
import type { Call } from "../http/call.ts";
import { type Filters, filterFlag } from "../http/query.ts";
import type { Api } from "../http/server.ts";
import { map, struct, text } from "../json/decode.ts";
import { volumeJson } from "../shapes/volume.ts";
import { toFilterValues } from "./containers.ts";

const createRequest = struct("volume.CreateOptions", {
  Name: text,
  Driver: text,
  DriverOpts: map(text),
  Labels: map(text),
});

/** Engine API, "Volumes". */
export function volumeRoutes(api: Api, volumes: Volumes): void {
  api.on("GET", "/volumes", (call) => list(call, volumes));
  api.on("POST", "/volumes/create", async ({ req, res }) => {
    const { Name = "", Driver = "", DriverOpts, Labels } = await readJson(req, createRequest);
    const created = await volumes.create({
      name: Name,
      driver: Driver,
      ...(DriverOpts && { options: { values: DriverOpts } }),
      ...(Labels && { labels: { values: Labels } }),
    });
    sendJson(res, 201, volumeJson(created));
  });
  api.on("POST", "/volumes/prune", (call) => prune(call, volumes));
  api.on("GET", "/volumes/{name}", async ({ name, res, signal }) => {
    sendJson(res, 200, volumeJson(await volumes.inspect(name, signal)));
  });
  api.on("DELETE", "/volumes/{name}", async ({ name, query, res }) => {
    await volumes.remove(name, query.flag("force"));
    sendEmpty(res, 204);
  });
  api.on("PUT", "/volumes/{name}", () => {
    throw new BerthError("UNAVAILABLE", "volume update only valid for cluster volumes, but swarm is unavailable");
  });
}

async function list({ query, res, signal }: Call, volumes: Volumes): Promise<void> {
  const filters = readFilters(query);
  filterFlag(filters, "dangling");
  const found = await volumes.list(toFilterValues(filters), signal);
  const byName = found.volumes.sort((a, b) => (a.name < b.name ? -1 : 1));
  sendJson(res, 200, {
    Volumes: byName.map(volumeJson),
    Warnings: found.warnings.length === 0 ? null : found.warnings,
  });
}

function readFilters(query: Call["query"]): Filters {
  try {
    return query.filters(["dangling", "driver", "label", "name"]);
  } catch (error) {
    // Docker tells only here what it was reading.
    if (isBerthError(error) && error.message === "invalid filter") {
      throw new BerthError("INVALID_ARGUMENT", "error reading volume filters: invalid filter");
    }
    throw error;
  }
}

async function prune({ query, res, minor, signal }: Call, volumes: Volumes): Promise<void> {
  const filters = toFilterValues(query.filters(["all", "label", "label!"]));
  // Named volumes were pruned as well before 1.42.
  if (minor < 42) filters["all"] = { values: ["true"] };
  const { names, reclaimed } = await volumes.prune(filters, signal);
  sendJson(res, 200, { VolumesDeleted: names, SpaceReclaimed: reclaimed });
}
