import { BerthError } from "@berth/errors";
import type { Containers } from "../domain/containers.ts";
import { hasLabel } from "../domain/labels.ts";
import { listNetworks } from "../domain/networks.ts";
import { sendJson } from "../http/answer.ts";
import { readJson } from "../http/body.ts";
import type { Api } from "../http/server.ts";
import { struct, text } from "../json/decode.ts";
import type { Network } from "../rpc/types.ts";
import { networkJson } from "../shapes/inspect.ts";

const listFilters = ["dangling", "driver", "id", "label", "name", "scope", "type"];
const createBody = struct("network.CreateRequest", { Name: text });
const predefined = ["bridge", "host", "none"];

/** Engine API, "Networks": the three that every engine has. */
export function networkRoutes(api: Api, containers: Containers): void {
  api.on("GET", "/networks", async ({ query, res, signal }) => {
    const filters = query.filters(listFilters);
    const matches = (network: Network) =>
      (filters.get("driver") ?? [network.driver]).includes(network.driver) &&
      (filters.get("scope") ?? ["local"]).includes("local") &&
      (filters.get("id") ?? [""]).some((id) => network.id.startsWith(id)) &&
      (filters.get("name") ?? [""]).some((name) => network.name.includes(name)) &&
      (filters.get("type") ?? ["builtin"]).includes(predefined.includes(network.name) ? "builtin" : "custom") &&
      (filters.get("label") ?? []).every((label) => hasLabel(network.labels, label)) &&
      (filters.get("dangling") ?? ["false"]).every((value) => value === "false" || value === "0");
    const networks = await listNetworks(containers.nodes, signal);
    // Listings leave the members out.
    sendJson(
      res,
      200,
      networks.filter(matches).map((network) => networkJson({ ...network, containers: [] })),
    );
  });
  api.on("GET", "/networks/{name}", async ({ name, res, signal }) => {
    sendJson(res, 200, networkJson(await find(containers, name, signal)));
  });
  api.on("DELETE", "/networks/{name}", async ({ name, signal }) => {
    const network = await find(containers, name, signal);
    if (predefined.includes(network.name)) {
      throw new BerthError("FORBIDDEN", `${network.name} is a pre-defined network and cannot be removed`);
    }
    throw absent("removing networks");
  });
  api.on("POST", "/networks/create", async ({ req }) => {
    const { Name: name = "" } = await readJson(req, createBody);
    if (name === "") throw new BerthError("INVALID_ARGUMENT", "invalid name: name is empty");
    if (predefined.includes(name) || name === "default")
      throw new BerthError("FORBIDDEN", `operation is not permitted on predefined ${name} network `);
    throw absent("creating networks");
  });
  api.on("POST", "/networks/{name}/connect", () => {
    throw absent("connecting containers to networks");
  });
  api.on("POST", "/networks/{name}/disconnect", () => {
    throw absent("disconnecting containers from networks");
  });
  api.on("POST", "/networks/prune", ({ res }) => sendJson(res, 200, { NetworksDeleted: null }));
}

function absent(what: string): BerthError {
  return new BerthError("NOT_IMPLEMENTED", `${what} is not supported by this engine yet`);
}

async function find(containers: Containers, name: string, signal: AbortSignal): Promise<Network> {
  const networks = await listNetworks(containers.nodes, signal);
  const exact = networks.find((network) => network.name === name || network.id === name);
  const byPrefix = networks.filter(({ id }) => name.length > 0 && id.startsWith(name));
  const found = exact ?? (byPrefix.length === 1 ? byPrefix[0] : undefined);
  if (found === undefined) throw new BerthError("NO_SUCH_NETWORK", `network ${name} not found`);
  return found;
}
