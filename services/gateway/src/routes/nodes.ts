import { BerthError } from "@berth/errors";
import type { NodeAdministration, NodeChange, NodeView } from "../domain/nodes/administration.ts";
import { sendEmpty, sendJson } from "../http/answer.ts";
import { readJson } from "../http/body.ts";
import type { Api } from "../http/server.ts";
import { list, map, struct, text } from "../json/decode.ts";

const updateRequest = struct("NodeUpdate", { Availability: text, AddLabels: map(text), RemoveLabels: list(text) });

/** The nodes of the engine, which Docker's API knows only as a swarm's: GET, POST and DELETE below /berth/nodes. */
export function nodeRoutes(api: Api, nodes: NodeAdministration): void {
  api.on("GET", "/berth/nodes", async ({ res }) => sendJson(res, 200, (await nodes.list()).map(nodeJson)));
  api.on("GET", "/berth/nodes/{name}", async ({ name, res }) =>
    sendJson(res, 200, nodeJson(await nodes.inspect(name))),
  );
  api.on("POST", "/berth/nodes/{name}/update", async ({ name, req, res }) => {
    const { Availability = "", AddLabels, RemoveLabels } = await readJson(req, updateRequest);
    const change = {
      availability: availabilityOf(Availability),
      addLabels: AddLabels ?? undefined,
      removeLabels: RemoveLabels ?? undefined,
    };
    sendJson(res, 200, nodeJson(await nodes.update(name, change)));
  });
  api.on("DELETE", "/berth/nodes/{name}", async ({ name, res }) => {
    await nodes.remove(name);
    sendEmpty(res, 204);
  });
}

function availabilityOf(text: string): NodeChange["availability"] {
  if (text === "") return undefined;
  if (text === "active" || text === "drain") return text;
  throw new BerthError("INVALID_ARGUMENT", `Availability must be active or drain, not ${JSON.stringify(text)}`);
}

function nodeJson({ record, state, load, services, nats }: NodeView): unknown {
  return {
    ID: record.nodeId,
    Name: record.name,
    State: state,
    Availability: record.availability,
    Labels: record.labels,
    CPUs: record.cpus,
    Memory: record.memory,
    // Of containers that have not ended: their limits.
    Reserved: { Containers: load.containers, CPUs: load.cpus, Memory: load.memory },
    ...(nats !== undefined && { NATS: nats }),
    Version: record.version,
    JoinedAt: record.joinedAt,
    ...(record.awaySince !== undefined && state === "away" && { AwaySince: record.awaySince }),
    Services: services.map(({ role, version, startedAt, addresses }) => ({
      Role: role,
      Version: version,
      StartedAt: startedAt,
      Addresses: addresses,
    })),
  };
}
