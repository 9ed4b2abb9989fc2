import { errorMessage } from "@berth/errors";
import type { Moves, Plan } from "../domain/moves/moves.ts";
import { sendJson, startStream } from "../http/answer.ts";
import type { Call } from "../http/call.ts";
import type { Api } from "../http/server.ts";
import { errorLine, progressLine } from "../shapes/progress.ts";

/** POST /berth/containers/{name}/move: JSON lines as of a pull, or with dryRun what would be done; and what is on a node to be emptied. */
export function moveRoutes(api: Api, moves: Moves): void {
  api.on("POST", "/berth/containers/{name}/move", (call) => move(call, moves));
  api.on("GET", "/berth/nodes/{name}/containers", async ({ name, res, signal }) => {
    const containers = await moves.containersOf(name, signal);
    sendJson(
      res,
      200,
      containers.map((container) => ({ ID: container.id, Name: container.name })),
    );
  });
}

async function move({ name, query, res, signal }: Call, moves: Moves): Promise<void> {
  const request = { container: name, node: query.text("node"), force: query.flag("force") };
  const plan = await moves.plan(request, signal);
  if (query.flag("dryRun")) return sendJson(res, 200, planJson(plan));
  const { from, to } = plan;
  try {
    await moves.move(
      plan,
      (message) => {
        if (!res.headersSent) {
          startStream(res, "application/json");
          res.write(progressLine({ status: `Moving ${plan.name} from ${from.nodeName} to ${to.nodeName}` }));
        }
        res.write(progressLine(message));
      },
      signal,
    );
    if (!res.headersSent) startStream(res, "application/json");
    res.end(progressLine({ status: `Moved ${plan.name} to ${to.nodeName}` }));
  } catch (error) {
    // What fails before anything was done has a status; later it is a line.
    if (!res.headersSent) throw error;
    res.end(errorLine(errorMessage(error)));
  }
}

function planJson({ id, name, running, from, to, parts, obstacles }: Plan): unknown {
  return {
    ID: id,
    Name: name,
    Running: running,
    From: from.nodeName,
    To: to.nodeName,
    Parts: parts.map((part) => ({ Name: part.name, Bytes: part.size })),
    Bytes: parts.reduce((sum, { size }) => sum + size, 0),
    Obstacles: obstacles,
  };
}
