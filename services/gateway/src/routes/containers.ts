import { BerthError, isBerthError } from "@berth/errors";
import { containerFilters, containerQuery } from "../domain/container-filter.ts";
import type { Containers } from "../domain/containers.ts";
import { createRequest, updateRequest } from "../domain/create/body.ts";
import { checkResources, checkRestartPolicy } from "../domain/create/limits.ts";
import { resourcesOf } from "../domain/create/resources.ts";
import type { EventFeed } from "../domain/events.ts";
import { idempotentRequest } from "../domain/idempotency.ts";
import type { Images } from "../domain/images.ts";
import { passesLabels, untilFilter } from "../domain/prune-filter.ts";
import { type WaitParts, waitForExit } from "../domain/wait.ts";
import { sendEmpty, sendJson, startStream } from "../http/answer.ts";
import { decodeBody, readBody, readJson } from "../http/body.ts";
import type { Call } from "../http/call.ts";
import { type Filters, integerProblem } from "../http/query.ts";
import type { Api } from "../http/server.ts";
import { WaitCondition } from "../rpc/types.ts";
import { orNull } from "../shapes/config.ts";
import { inspectJson } from "../shapes/inspect.ts";
import { summaryJson } from "../shapes/list.ts";
import { toMillis } from "../shapes/time.ts";

/** Engine API, "Containers": everything that is not a stream. */
export function containerRoutes(api: Api, containers: Containers, images: Images, feed: EventFeed): void {
  api.on("POST", "/containers/create", (call) => create(call, containers));
  api.on("GET", "/containers/json", (call) => list(call, containers, images));
  api.on("POST", "/containers/prune", (call) => prune(call, containers));
  api.on("GET", "/containers/{name}/json", async ({ name, query, res, minor, signal }) => {
    sendJson(res, 200, inspectJson(await containers.inspect(name, query.flag("size"), signal), minor));
  });
  api.on("POST", "/containers/{name}/start", async ({ name, req, res, query }) => {
    // Docker's bound: "{}" and the like are let through. A body of unknown length is one.
    if (Number(req.headers["content-length"] ?? 0) > 7 || req.headers["transfer-encoding"] !== undefined) {
      throw invalid(
        "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
      );
    }
    if (query.text("checkpoint") !== "") throw invalid("checkpoint is only supported in experimental mode");
    const supervisor = await containers.supervisorOf(name);
    await supervisor.start({ container: name }, { timeoutMs: slow });
    sendEmpty(res, 204);
  });
  api.on("POST", "/containers/{name}/stop", (call) => stop(call, containers, "stop"));
  api.on("POST", "/containers/{name}/restart", (call) => stop(call, containers, "restart"));
  api.on("POST", "/containers/{name}/kill", (call) => kill(call, containers));
  api.on("POST", "/containers/{name}/pause", async ({ name, res }) => {
    await (await containers.supervisorOf(name)).pause({ container: name });
    sendEmpty(res, 204);
  });
  api.on("POST", "/containers/{name}/unpause", async ({ name, res }) => {
    await (await containers.supervisorOf(name)).unpause({ container: name });
    sendEmpty(res, 204);
  });
  api.on("POST", "/containers/{name}/rename", (call) => rename(call, containers));
  api.on("POST", "/containers/{name}/update", (call) => update(call, containers));
  api.on("POST", "/containers/{name}/resize", async ({ name, query, res }) => {
    const size = windowSize(query.text("h"), query.text("w"));
    await (await containers.supervisorOf(name)).resize({ container: name, exec: "", ...size });
    sendEmpty(res, 200);
  });
  api.on("POST", "/containers/{name}/wait", (call) => wait(call, { containers, feed }));
  // Greedy: a link is removed by "parent/alias".
  api.on("DELETE", "/containers/{name...}", async ({ name, query, res }) => {
    const isLink = query.flag("link");
    // Links are the parent's.
    const owner = isLink ? name.replace(/^(.+)\/[^/]*$/, "$1") : name;
    const supervisor = await containers.supervisorOf(owner);
    await supervisor.remove(
      { container: name, force: query.flag("force"), volumes: query.flag("v"), link: isLink },
      { timeoutMs: slow },
    );
    if (!isLink) containers.forget(name);
    sendEmpty(res, 204);
  });
  api.on("GET", "/containers/{name}/top", async ({ name, query, res, signal }) => {
    const supervisor = await containers.supervisorOf(name, signal);
    const { titles, processes } = await supervisor.top(
      { container: name, psArgs: query.text("ps_args") || "-ef" },
      { signal },
    );
    sendJson(res, 200, { Processes: orNull(processes.map(({ columns }) => columns)), Titles: titles });
  });
}

/** ms; what may wait for a busy kernel. */
const slow = 120_000;

async function create({ req, res, query, minor }: Call, containers: Containers): Promise<void> {
  const raw = await readBody(req);
  const body = decodeBody(req, raw, createRequest);
  const [name, platform] = [query.text("name"), query.text("platform")];
  const once = idempotentRequest(req.headers["idempotency-key"], [name, platform, String(minor), raw]);
  const { id, warnings } = await containers.create({ name, body, platform, minor, once });
  sendJson(res, 201, { Id: id, Warnings: warnings });
}

async function list({ res, query, minor, signal }: Call, containers: Containers, images: Images): Promise<void> {
  const limit = query.integer("limit") ?? 0;
  const { isEmpty, ...filter } = await containerQuery(query.filters(containerFilters), containers, images, signal);
  const request = {
    ...filter,
    // A limit, and some filters, mean "of all containers".
    all: query.flag("all") || limit > 0,
    limit: Math.max(0, Math.min(limit, 2 ** 31 - 1)),
    size: query.flag("size"),
  };
  const found = isEmpty ? [] : await containers.list(request, signal);
  const now = Date.now();
  const summaries = await Promise.all(
    found.map(async (container) => summaryJson(container, await containers.imageName(container), minor, now)),
  );
  sendJson(res, 200, summaries);
}

export function toFilterValues(filters: Filters): Record<string, { values: string[] }> {
  return Object.fromEntries([...filters].map(([key, values]) => [key, { values: [...values] }]));
}

/** Removes what has stopped. Engine API: POST /containers/prune */
async function prune({ res, query, signal }: Call, containers: Containers): Promise<void> {
  const filters = query.filters(["label", "label!", "until"]);
  const until = untilFilter(filters);
  const request = { all: true, size: true, filters: { status: { values: ["created", "exited", "dead"] } } };
  const deleted: string[] = [];
  let reclaimed = 0;
  for (const container of await containers.list(request, signal)) {
    if (toMillis(container.created) > until || !passesLabels(container.labels, filters)) continue;
    try {
      const supervisor = await containers.supervisorOf(container.id);
      await supervisor.remove({ container: container.id }, { timeoutMs: slow });
      deleted.push(container.id);
      reclaimed += container.sizeRw ?? 0;
    } catch {
      // Started or removed meanwhile: then it is not ours to prune.
    }
  }
  sendJson(res, 200, { ContainersDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: reclaimed });
}

async function stop({ name, query, res }: Call, containers: Containers, action: "stop" | "restart"): Promise<void> {
  const timeout = timeoutOf(query.text("t"));
  const supervisor = await containers.supervisorOf(name);
  const request = { container: name, signal: query.text("signal"), ...(timeout === undefined ? {} : { timeout }) };
  // The container's own time-out may be anything; the supervisor bounds the call.
  await supervisor[action](request, { timeoutMs: Number.POSITIVE_INFINITY });
  sendEmpty(res, 204);
}

/** Seconds. Docker answers what is no number with 500. */
function timeoutOf(text: string): number | undefined {
  if (text === "") return undefined;
  const problem = integerProblem(text);
  if (problem !== undefined)
    throw new BerthError("INTERNAL", `strconv.Atoi: parsing ${JSON.stringify(text)}: ${problem}`);
  return Math.max(-1, Math.min(Number(text), 2 ** 31 - 1));
}

async function kill({ name, query, res }: Call, containers: Containers): Promise<void> {
  try {
    await (await containers.supervisorOf(name)).kill({ container: name, signal: query.text("signal") });
  } catch (error) {
    if (!isBerthError(error) || error.reason !== "NO_SUCH_CONTAINER") throw error;
    throw new BerthError(error.reason, `cannot kill container: ${name}: ${error.message}`, error.details);
  }
  sendEmpty(res, 204);
}

async function rename({ name, query, res }: Call, containers: Containers): Promise<void> {
  const next = query.text("name");
  if (next === "" || name === "") throw invalid("Neither old nor new names may be empty");
  if (!/^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(next)) {
    const shown = `/${next.replace(/^\//, "")}`;
    throw invalid(
      `Error when allocating new name: Invalid container name (${shown}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    );
  }
  await (await containers.supervisorOf(name)).rename({ container: name, name: next.replace(/^\//, "") });
  sendEmpty(res, 204);
}

async function update({ name, req, res, minor }: Call, containers: Containers): Promise<void> {
  const body = await readJson(req, updateRequest);
  checkResources(body, true);
  // Came with 1.40; what older clients send there was never heeded.
  if (minor < 40) body.PidsLimit = undefined;
  const policy = body.RestartPolicy;
  if (policy !== undefined) checkRestartPolicy(policy);
  const { warnings } = await (await containers.supervisorOf(name)).update({
    container: name,
    resources: resourcesOf(body, true),
    ...(policy === undefined || !policy.Name
      ? {}
      : { restartPolicy: { name: policy.Name, maximumRetryCount: policy.MaximumRetryCount ?? 0 } }),
  });
  sendJson(res, 200, { Warnings: warnings.length === 0 ? null : warnings });
}

const conditions: Record<string, WaitCondition> = {
  "": WaitCondition.NOT_RUNNING,
  "not-running": WaitCondition.NOT_RUNNING,
  "next-exit": WaitCondition.NEXT_EXIT,
  removed: WaitCondition.REMOVED,
};

/** The headers go out when the supervisor has the wait: whoever starts the container after them misses nothing. */
async function wait({ name, query, res, minor, signal }: Call, parts: WaitParts): Promise<void> {
  // Conditions came with 1.30: an older client's wait is for the end.
  const word = minor >= 30 ? query.text("condition") : "";
  const condition = Object.hasOwn(conditions, word) ? conditions[word] : undefined;
  if (condition === undefined) throw invalid(`invalid condition: ${JSON.stringify(query.text("condition"))}`);
  const hasEarlyHeaders = minor >= 30;
  const registered = () => {
    if (hasEarlyHeaders && !res.headersSent) startStream(res, "application/json");
  };
  const { exitCode, error } = await waitForExit(parts, { container: name, condition }, registered, signal);
  // Who waits for the removal is told the code alone, as Docker does it: why a start failed, the start's caller knows.
  const tellsWhy = error !== "" && condition !== WaitCondition.REMOVED;
  const answer = { ...(tellsWhy ? { Error: { Message: error } } : {}), StatusCode: exitCode };
  if (res.headersSent) res.end(`${JSON.stringify(answer)}\n`);
  else sendJson(res, 200, answer);
}

/** @throws INVALID_ARGUMENT in Docker's words */
export function windowSize(height: string, width: string): { rows: number; columns: number } {
  const read = (text: string, what: string) => {
    const problem = integerProblem(text);
    const value = Number(text);
    const isBeyond = problem === undefined && (value < 0 || value >= 2 ** 32);
    if (problem !== undefined || isBeyond)
      throw invalid(`invalid resize ${what} ${JSON.stringify(text)}: ${problem ?? "value out of range"}`);
    return value;
  };
  return { rows: read(height, "height"), columns: read(width, "width") };
}

function invalid(message: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", message);
}
