import { BerthError } from "@berth/errors";
import { parseReference } from "@berth/oci";
import { sendEmpty, sendJson } from "../http/answer.ts";
import type { Handler } from "../http/call.ts";
import type { Api } from "../http/server.ts";

/**
 * Calls that this engine knows of and does not do (yet). They say so with 501, so that nobody takes "page not found"
 * for a wrong version; swarm's answer as an engine outside a swarm does.
 */
export function absentRoutes(api: Api): void {
  for (const [what, routes] of Object.entries(notBuilt)) {
    const refuse: Handler = () => {
      throw new BerthError("NOT_IMPLEMENTED", `${what} not supported by this engine yet`);
    };
    for (const route of routes) {
      const [method = "", path = ""] = route.split(" ");
      api.on(method, path, refuse);
    }
  }
  for (const route of swarmRoutes) {
    const [method = "", path = ""] = route.split(" ");
    api.on(method, path, notInSwarm);
  }
  api.on("POST", "/swarm/leave", () => {
    throw new BerthError("UNAVAILABLE", "This node is not part of a swarm");
  });
  for (const route of checkpointRoutes) {
    const [method = "", path = ""] = route.split(" ");
    api.on(method, path, ({ name }) => {
      const isOne = method !== "DELETE" || /^[^/]+\/checkpoints\/[^/]+$/.test(name);
      throw isOne
        ? new BerthError("NOT_IMPLEMENTED", experimental)
        : new BerthError("NO_SUCH_CONTAINER", `No such container: ${name}`);
    });
  }
  pluginRoutes(api);
  api.on("POST", "/build/cancel", ({ query, res }) => {
    if (query.text("id") === "") throw new BerthError("INVALID_ARGUMENT", "build ID not provided");
    // A build that is not there is cancelled already.
    sendEmpty(res, 200);
  });
  api.on("POST", "/build/prune", ({ res }) => sendJson(res, 200, { CachesDeleted: null, SpaceReclaimed: 0 }));
}

/** An engine that is not started for experiments answers so. */
const experimental =
  "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to enable it.";

const checkpointRoutes = [
  "GET /containers/{name}/checkpoints",
  "POST /containers/{name}/checkpoints",
  "DELETE /containers/{name...}",
];

/** There are no managed plugins: lists are empty, and none is found. */
function pluginRoutes(api: Api): void {
  api.on("GET", "/plugins", ({ query, res }) => {
    query.filters(["capability", "enabled"]);
    sendJson(res, 200, []);
  });
  api.on("GET", "/plugins/privileges", ({ query, res }) => {
    parseReference(query.text("remote"));
    sendJson(res, 200, []);
  });
  for (const route of onePluginRoutes) {
    const [method = "", path = ""] = route.split(" ");
    api.on(method, path, ({ name }) => {
      throw new BerthError("NOT_FOUND", `plugin ${JSON.stringify(name)} not found`);
    });
  }
}

const onePluginRoutes = [
  "GET /plugins/{name...}/json",
  "DELETE /plugins/{name...}",
  "POST /plugins/{name...}/enable",
  "POST /plugins/{name...}/disable",
  "POST /plugins/{name...}/set",
  "POST /plugins/{name...}/push",
];

const notBuilt: Record<string, readonly string[]> = {
  "building images is": ["POST /build", "POST /session", "POST /grpc"],
  "pushing images is": ["POST /images/{name...}/push"],
  "plugins are": ["POST /plugins/pull", "POST /plugins/create", "POST /plugins/{name...}/upgrade"],
  "becoming a swarm is": ["POST /swarm/init", "POST /swarm/join"],
};

const notInSwarm: Handler = () => {
  throw new BerthError(
    "UNAVAILABLE",
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
  );
};

const swarmRoutes = [
  "GET /swarm",
  "GET /swarm/unlockkey",
  "POST /swarm/update",
  "POST /swarm/unlock",
  ...["nodes", "services", "tasks", "secrets", "configs"].flatMap((kind) => [
    `GET /${kind}`,
    `POST /${kind}/create`,
    `GET /${kind}/{name}`,
    `GET /${kind}/{name}/logs`,
    `DELETE /${kind}/{name}`,
    `POST /${kind}/{name}/update`,
  ]),
];
