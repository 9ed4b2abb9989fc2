import { BerthError } from "@berth/errors";
import { sendJson } from "../http/answer.ts";
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
  api.on("GET", "/volumes", ({ res }) => sendJson(res, 200, { Volumes: [], Warnings: null }));
  api.on("GET", "/volumes/{name}", ({ name }) => {
    throw new BerthError("NO_SUCH_VOLUME", `get ${name}: no such volume`);
  });
  api.on("DELETE", "/volumes/{name}", ({ name }) => {
    throw new BerthError("NO_SUCH_VOLUME", `get ${name}: no such volume`);
  });
  api.on("POST", "/volumes/prune", ({ res }) => sendJson(res, 200, { VolumesDeleted: null, SpaceReclaimed: 0 }));
  api.on("POST", "/build/prune", ({ res }) => sendJson(res, 200, { CachesDeleted: null, SpaceReclaimed: 0 }));
  api.on("GET", "/plugins", ({ res }) => sendJson(res, 200, []));
}

const notBuilt: Record<string, readonly string[]> = {
  "creating volumes is": ["POST /volumes/create", "PUT /volumes/{name}"],
  "building images is": ["POST /build", "POST /build/cancel", "POST /session", "POST /grpc"],
  "committing containers is": ["POST /commit"],
  "pushing images is": ["POST /images/{name...}/push"],
  "exporting containers is": ["GET /containers/{name}/export"],
  "listing a container's changes is": ["GET /containers/{name}/changes"],
  "copying files is": [
    "HEAD /containers/{name}/archive",
    "GET /containers/{name}/archive",
    "PUT /containers/{name}/archive",
    "POST /containers/{name}/copy",
  ],
  "checkpoints are": [
    "GET /containers/{name}/checkpoints",
    "POST /containers/{name}/checkpoints",
    "DELETE /containers/{name}/checkpoints",
  ],
  "plugins are": [
    "GET /plugins/privileges",
    "POST /plugins/pull",
    "POST /plugins/create",
    "GET /plugins/{name...}/json",
    "DELETE /plugins/{name...}",
    "POST /plugins/{name...}/enable",
    "POST /plugins/{name...}/disable",
    "POST /plugins/{name...}/set",
    "POST /plugins/{name...}/push",
    "POST /plugins/{name...}/upgrade",
  ],
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
