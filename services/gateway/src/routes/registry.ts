import { BerthError, isBerthError } from "@berth/errors";
import { sendJson } from "../http/answer.ts";
import { readBody } from "../http/body.ts";
import type { Call } from "../http/call.ts";
import { type Filters, filterFlag, integerProblem } from "../http/query.ts";
import type { Api } from "../http/server.ts";
import { parseJson, struct, text } from "../json/decode.ts";
import type { RegistryProxy } from "../rpc/types.ts";
import { registryAuth } from "./transfer.ts";

const authBody = struct("registry.AuthConfig", {
  username: text,
  password: text,
  serveraddress: text,
  identitytoken: text,
  registrytoken: text,
});

/** Engine API: what only asks registries (POST /auth, GET /images/search). */
export function registryRoutes(api: Api, registry: RegistryProxy): void {
  api.on("POST", "/auth", (call) => login(call, registry));
  api.on("GET", "/images/search", (call) => search(call, registry));
}

/** ms; a registry may be slow to refuse. */
const patience = 90_000;

async function login({ req, res, signal }: Call, registry: RegistryProxy): Promise<void> {
  const body = await readBody(req);
  // Docker reads this one body whatever it is called, and words its problems without the usual beginning.
  const auth = body.length === 0 ? fail("EOF") : unprefixed(() => parseJson(body.toString("utf8"), authBody));
  const { identityToken } = await registry.login(
    {
      auth: {
        username: auth.username ?? "",
        password: auth.password ?? "",
        identityToken: auth.identitytoken ?? "",
        registryToken: auth.registrytoken ?? "",
        serverAddress: auth.serveraddress ?? "",
      },
    },
    { signal, timeoutMs: patience },
  );
  sendJson(res, 200, { IdentityToken: identityToken, Status: "Login Succeeded" });
}

function unprefixed<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!isBerthError(error)) throw error;
    return fail(
      error.message.replace(/^invalid JSON: (got EOF.*)?/, (_all, eof?: string) => (eof === undefined ? "" : "EOF")),
    );
  }
}

function fail(message: string): never {
  throw new BerthError("INVALID_ARGUMENT", message);
}

const defaultLimit = 25;
const maxLimit = 100;

async function search({ req, res, query, signal }: Call, registry: RegistryProxy): Promise<void> {
  const limit = searchLimit(query.text("limit"));
  const keep = resultFilter(query.filters(["is-automated", "is-official", "stars"]));
  if (keep === undefined) {
    sendJson(res, 200, []);
    return;
  }
  const auth = registryAuth(req);
  const term = query.text("term");
  const { results } = await registry.search({ term, limit, auth }, { signal, timeoutMs: patience });
  const shown = results.filter(({ isOfficial, starCount }) => keep(isOfficial, starCount));
  sendJson(
    res,
    200,
    shown.map(({ name, description, starCount, isOfficial }) => ({
      star_count: starCount,
      is_official: isOfficial,
      name,
      is_automated: false,
      description,
    })),
  );
}

function searchLimit(given: string): number {
  if (given === "") return defaultLimit;
  const problem = integerProblem(given);
  if (problem !== undefined) {
    fail(`invalid limit specified: strconv.Atoi: parsing ${JSON.stringify(given)}: ${problem}`);
  }
  const limit = Number(given) || defaultLimit;
  if (limit < 1 || limit > maxLimit) fail(`limit ${limit} is outside the range of [1, ${maxLimit}]`);
  return limit;
}

/** Which results pass; undefined when none can: nothing is "automated" any more. */
function resultFilter(filters: Filters): ((official: boolean, stars: number) => boolean) | undefined {
  if (filterFlag(filters, "is-automated") === true) return undefined;
  const official = filterFlag(filters, "is-official");
  const stars = (filters.get("stars") ?? []).map((value) => {
    const problem = integerProblem(value);
    if (problem !== undefined) {
      fail(`invalid filter 'stars=${value}': strconv.Atoi: parsing ${JSON.stringify(value)}: ${problem}`);
    }
    return Number(value);
  });
  const least = Math.max(0, ...stars);
  return (isOfficial, count) => (official === undefined || official === isOfficial) && count >= least;
}
