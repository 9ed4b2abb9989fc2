import { BerthError, errorMessage } from "@berth/errors";
import type { Credentials } from "./registry/auth.ts";
import type { RegistryShared } from "./registry/client.ts";
import { isInsecure } from "./registry/endpoint.ts";
import { discard, readBody } from "./registry/http.ts";

export interface SearchResult {
  name: string;
  description: string;
  starCount: number;
  isOfficial: boolean;
}

/** Docker Hub answers searches under another name than pulls. */
const indexHost = "index.docker.io";
/** ms; people wait for it. */
const deadline = 30_000;
/** bytes; a hundred results are some 30 KB. */
const maxAnswer = 4 * 1024 * 1024;

/**
 * Asks a registry's index for images (the first version of the registry API, the only one that has a search).
 * @param term "NAME", or "HOST/NAME" for a registry other than Docker Hub
 * @throws INVALID_ARGUMENT when the host has no such API; UNAVAILABLE when it can't be asked. Docker's texts
 */
export async function search(
  shared: RegistryShared,
  insecureRegistries: readonly string[],
  query: { term: string; limit: number; credentials: Credentials },
  signal: AbortSignal,
): Promise<SearchResult[]> {
  const { host, name } = splitTerm(query.term);
  const within = AbortSignal.any([signal, AbortSignal.timeout(deadline)]);
  const insecure = host !== indexHost && isInsecure(host, insecureRegistries);
  const base = host === indexHost ? `https://${host}/v1/` : await endpoint(shared, host, insecure, within);
  const url = new URL(`${base}search?q=${encodeURIComponent(name)}&n=${query.limit}`);
  const { username, password } = query.credentials;
  const basic =
    username === "" ? {} : { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` };
  const headers = { "user-agent": shared.userAgent, "x-docker-token": "true", ...basic };
  const answer = await shared.http.send("GET", url, { headers, insecure, signal: within });
  if (answer.status !== 200) {
    await discard(answer.body);
    throw new BerthError("UNAVAILABLE", `Unexpected status code ${answer.status}`);
  }
  return parseResults(await readBody(answer, maxAnswer)).slice(0, query.limit);
}

function splitTerm(term: string): { host: string; name: string } {
  if (/^https?:\/\//.test(term)) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `invalid repository name: repository name (${term.slice(0, 200)}) should not have a scheme`,
    );
  }
  const slash = term.indexOf("/");
  const first = slash === -1 ? "" : term.slice(0, slash);
  const isHost = /[.:]/.test(first) || first === "localhost";
  if (!isHost || first === "docker.io" || first === indexHost) {
    return { host: indexHost, name: (isHost ? term.slice(slash + 1) : term).replace(/^library\//, "") };
  }
  return { host: first, name: term.slice(slash + 1) };
}

/** Which scheme a registry's old API is spoken with. @throws INVALID_ARGUMENT when with none */
async function endpoint(shared: RegistryShared, host: string, insecure: boolean, signal: AbortSignal): Promise<string> {
  if (!URL.canParse(`https://${host}/`))
    throw new BerthError("INVALID_ARGUMENT", `invalid registry endpoint "https://${host}/v1/"`);
  const failures: string[] = [];
  for (const scheme of insecure ? ["https", "http"] : ["https"]) {
    try {
      const url = new URL(`${scheme}://${host}/v1/_ping`);
      const answer = await shared.http.send("GET", url, {
        headers: { "user-agent": shared.userAgent },
        insecure,
        signal,
      });
      await discard(answer.body);
      if (answer.status === 200) return `${scheme}://${host}/v1/`;
      failures.push(`Get "${url.href}": unexpected status ${answer.status}`);
    } catch (error) {
      signal.throwIfAborted();
      failures.push(errorMessage(error));
    }
  }
  const [https = "", http = ""] = failures;
  throw new BerthError(
    "INVALID_ARGUMENT",
    insecure
      ? `invalid registry endpoint "http://${host}/v1/". HTTPS attempt: ${https}. HTTP attempt: ${http}`
      : `invalid registry endpoint https://${host}/v1/: ${https}`,
  );
}

function parseResults(body: Buffer): SearchResult[] {
  let results: unknown;
  try {
    ({ results } = JSON.parse(body.toString("utf8")) as { results?: unknown });
  } catch {
    throw new BerthError("UNAVAILABLE", "error decoding registry search results");
  }
  if (!Array.isArray(results)) return [];
  return results.map((entry) => {
    const { name, description, star_count, is_official } = (entry ?? {}) as Record<string, unknown>;
    return {
      name: typeof name === "string" ? name : "",
      description: typeof description === "string" ? description : "",
      starCount: typeof star_count === "number" ? star_count : 0,
      isOfficial: is_official === true,
    };
  });
}
