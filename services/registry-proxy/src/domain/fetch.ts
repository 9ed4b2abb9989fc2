import { BerthError, isBerthError } from "@berth/errors";
import type { RegistryShared } from "./registry/client.ts";
import { type Answer, readBody, statusText } from "./registry/http.ts";

export interface Fetched {
  /** The address as it was understood. */
  url: string;
  /** bytes; 0 when the server does not say */
  size: number;
  body: AsyncIterable<Buffer>;
}

/** characters; what browsers take too. */
const maxAddress = 8192;
/** bytes of an error page that are told on */
const maxPage = 64 * 1024;

/**
 * Reads what an address leads to. Without a scheme it is taken for http.
 * @throws INVALID_ARGUMENT for what is no address; NOT_FOUND, FORBIDDEN and INTERNAL for other answers, or none. Docker's texts
 */
export async function fetchUrl(shared: RegistryShared, address: string, signal: AbortSignal): Promise<Fetched> {
  const url = addressOf(address);
  const { body, headers } = await get(shared, url, signal);
  return { url, size: Number(headers["content-length"] ?? 0) || 0, body };
}

function addressOf(address: string): string {
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(address) ? address : `http://${address}`;
  const shown = JSON.stringify(whole.slice(0, maxAddress));
  if (whole.length > maxAddress || /[\s\p{Cc}]/u.test(whole) || !URL.canParse(whole))
    throw new BerthError("INVALID_ARGUMENT", `parse ${shown}: invalid URL`);
  const scheme = new URL(whole).protocol.slice(0, -1);
  if (!["http", "https"].includes(scheme))
    throw new BerthError("INTERNAL", `Get ${shown}: unsupported protocol scheme ${JSON.stringify(scheme)}`);
  return whole;
}

async function get({ http, userAgent }: RegistryShared, url: string, signal: AbortSignal): Promise<Answer> {
  const options = { headers: { "user-agent": userAgent }, insecure: false, signal };
  const answer = await http.send("GET", new URL(url), options).catch((error: unknown) => {
    // Nobody gains by asking again at once, which is what "unavailable" would say.
    throw isBerthError(error) && error.reason === "UNAVAILABLE" ? new BerthError("INTERNAL", error.message) : error;
  });
  if (answer.status < 400) return answer;
  const page = await readBody(answer, maxPage).catch(() => Buffer.from("error reading body"));
  const status = `${answer.status} ${statusText(answer.status)}`.trim();
  const message = `failed to GET ${url} with status ${status}: ${page.toString("utf8").trim()}`;
  throw new BerthError(reasons[answer.status] ?? "INTERNAL", message);
}

const reasons: Readonly<Record<number, "INVALID_ARGUMENT" | "FORBIDDEN" | "NOT_FOUND">> = {
  400: "INVALID_ARGUMENT",
  // Not UNAUTHENTICATED: a client that gets 401 asks for a password, which nobody here would take.
  401: "FORBIDDEN",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
};
