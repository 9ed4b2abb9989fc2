import { BerthError } from "@berth/errors";
import { Authorizer, type Credentials } from "./registry/auth.ts";
import { parseChallenges } from "./registry/challenge.ts";
import type { RegistryShared } from "./registry/client.ts";
import { hubHost, isInsecure } from "./registry/endpoint.ts";
import { isRegistryError } from "./registry/failure.ts";
import { type Answer, discard, statusText } from "./registry/http.ts";

/** ms for the whole of a login: somebody waits at a terminal. */
const deadline = 60_000;

/**
 * Shows credentials to a registry and tells whether it takes them (Engine API, POST /auth).
 * @param address a host, a URL, or empty for Docker Hub
 * @returns a refresh token; empty when the registry works with the password itself
 * @throws UNAUTHENTICATED when the registry refuses; UNAVAILABLE when it can't be asked; INVALID_ARGUMENT. Docker's texts
 */
export async function login(
  shared: RegistryShared,
  insecureRegistries: readonly string[],
  address: string,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<string> {
  const host = hostOf(address);
  const insecure = isInsecure(host, insecureRegistries);
  const within = AbortSignal.any([signal, AbortSignal.timeout(deadline)]);
  try {
    return await tryLogin(shared, new URL(`https://${host}/v2/`), { insecure, credentials, signal: within });
  } catch (error) {
    // Only where the operator trusts the registry may credentials travel in the clear, and never after a refusal.
    if (!insecure || within.aborted || isRefusal(error)) throw error;
    return await tryLogin(shared, new URL(`http://${host}/v2/`), { insecure, credentials, signal: within });
  }
}

const isRefusal = (error: unknown): boolean =>
  error instanceof Error && "reason" in error && error.reason === "UNAUTHENTICATED";

/** The host of a login's address: CLIs send hosts, and old ones URLs. */
function hostOf(address: string): string {
  if (address === "") return hubHost;
  const url = /^https?:\/\//.test(address) ? address : `https://${address}`;
  const host = URL.canParse(url) ? new URL(url).host : "";
  if (host === "")
    throw new BerthError("INVALID_ARGUMENT", `unable to parse server address: parse ${JSON.stringify(url)}`);
  return host === "docker.io" || host === "index.docker.io" ? hubHost : host;
}

interface Attempt {
  insecure: boolean;
  credentials: Credentials;
  signal: AbortSignal;
}

async function tryLogin(shared: RegistryShared, url: URL, { insecure, credentials, signal }: Attempt): Promise<string> {
  const { http, tokens, userAgent } = shared;
  const ask = (authorization?: string): Promise<Answer> =>
    http.send("GET", url, {
      headers: { "user-agent": userAgent, ...(authorization !== undefined && { authorization }) },
      insecure,
      signal,
    });
  const knock = await ask();
  await discard(knock.body);
  const auth = new Authorizer(http, tokens, credentials, insecure, "");
  auth.offline = true;
  if (knock.status === 401) auth.challenged(parseChallenges(knock.headers["www-authenticate"]));
  const answer = await ask(await authorization(auth, url, signal));
  await discard(answer.body);
  if (answer.status === 200) return auth.refreshToken ?? credentials.identityToken;
  const reason = answer.status === 401 || answer.status === 403 ? "UNAUTHENTICATED" : "UNAVAILABLE";
  const status = `${answer.status} ${statusText(answer.status)}`.trim();
  throw new BerthError(reason, `login attempt to ${url.href} failed with status: ${status}`);
}

async function authorization(auth: Authorizer, url: URL, signal: AbortSignal): Promise<string | undefined> {
  try {
    return await auth.header(signal);
  } catch (error) {
    const isRefused = isRegistryError(error) && (error.status === 401 || error.status === 403);
    const isEmpty = error instanceof Error && error.message === "no basic auth credentials";
    if (!isRefused && !isEmpty) throw error;
    throw new BerthError("UNAUTHENTICATED", `Get "${url.href}": ${error.message}`);
  }
}
