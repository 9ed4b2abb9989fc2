import { BerthError, isAbortError, isBerthError } from "@berth/errors";
import { familiarName, familiarString, type Reference } from "@berth/oci";

/** One entry of a registry's error body (distribution-spec, "Error Codes"). */
export interface RegistryFault {
  code: string;
  message: string;
}

/** A registry's answer that is not a success. */
export class RegistryError extends Error {
  readonly status: number;
  readonly faults: readonly RegistryFault[];

  constructor(status: number, statusText: string, faults: readonly RegistryFault[]) {
    const [first] = faults;
    super(first === undefined ? `received unexpected HTTP status: ${status} ${statusText}`.trim() : faultText(first));
    this.name = "RegistryError";
    this.status = status;
    this.faults = faults;
  }
}

export function isRegistryError(error: unknown): error is RegistryError {
  return error instanceof Error && error.name === "RegistryError";
}

/** "MANIFEST_UNKNOWN" with its message as Docker prints it. */
function faultText({ code, message }: RegistryFault): string {
  return `${code.toLowerCase().replaceAll("_", " ")}: ${message}`;
}

/** Reads an error body; what is not one gives none. */
export function parseFaults(body: string): RegistryFault[] {
  try {
    const { errors, details } = JSON.parse(body) as { errors?: unknown; details?: unknown };
    if (Array.isArray(errors)) {
      return errors.slice(0, 16).map((entry) => {
        const { code, message } = entry as { code?: unknown; message?: unknown };
        return { code: text(code, "UNKNOWN"), message: text(message, "unknown error") };
      });
    }
    // Token servers put it differently.
    return typeof details === "string" ? [{ code: "UNAUTHORIZED", message: text(details, "") }] : [];
  } catch {
    return [];
  }
}

function text(value: unknown, fallback: string): string {
  return typeof value === "string" && value !== "" ? value.slice(0, 1000) : fallback;
}

/** What the caller of a pull is told. Texts are Docker's, since people and scripts look for them. */
export function pullFailure(error: unknown, reference: Reference): unknown {
  if (!isRegistryError(error)) return error;
  const code = error.faults[0]?.code;
  const name = familiarName(reference);
  if (code === "DENIED" || (code === "UNAUTHORIZED" && reference.domain === "docker.io")) {
    return new BerthError(
      "NOT_FOUND",
      `pull access denied for ${name}, repository does not exist or may require 'docker login': ${error.message}`,
    );
  }
  if (code === "MANIFEST_UNKNOWN") {
    return new BerthError("NOT_FOUND", `manifest for ${familiarString(reference)} not found: ${error.message}`);
  }
  if (code === "NAME_UNKNOWN") return new BerthError("NOT_FOUND", `repository ${name} not found: ${error.message}`);
  if (error.status === 404 && code === undefined) {
    return new BerthError("NOT_FOUND", `manifest for ${familiarString(reference)} not found: ${error.message}`);
  }
  // Not UNAUTHENTICATED: a Docker CLI that gets 401 asks for a password on the terminal; Docker's daemon never makes it.
  if (error.status === 401 || error.status === 403) return new BerthError("FORBIDDEN", error.message);
  if (error.status === 429) return new BerthError("RESOURCE_EXHAUSTED", error.message);
  return new BerthError("UNAVAILABLE", error.message);
}

interface SystemError extends Error {
  code?: string;
  address?: string;
  port?: number;
  syscall?: string;
  hostname?: string;
  errors?: unknown[];
  cause?: unknown;
}

/** A request that got no answer, told the way Go's HTTP client does, which is what Docker users know. */
export function connectionFailure(error: unknown, method: string, url: URL): unknown {
  if (isBerthError(error) || isAbortError(error)) return error;
  const verb = method.charAt(0) + method.slice(1).toLowerCase();
  return new BerthError(
    "UNAVAILABLE",
    `${verb} "${url.href}": ${describe(innermost(error))}`,
    { url: url.origin },
    { cause: error },
  );
}

function innermost(error: unknown): SystemError {
  const { errors, cause } = error as SystemError;
  if (Array.isArray(errors) && errors.length > 0) return innermost(errors[0]);
  return cause instanceof Error ? innermost(cause) : (error as SystemError);
}

function describe(error: SystemError): string {
  const target = error.address === undefined ? "" : ` ${joinPort(error.address, error.port)}`;
  switch (error.code) {
    case "ECONNREFUSED":
      return `dial tcp${target}: connect: connection refused`;
    case "EHOSTUNREACH":
      return `dial tcp${target}: connect: no route to host`;
    case "ENETUNREACH":
      return `dial tcp${target}: connect: network is unreachable`;
    case "ETIMEDOUT":
      return `dial tcp${target}: i/o timeout`;
    case "ENOTFOUND":
    // Of a name that is too long for one.
    case "EINVAL":
      if (error.syscall !== "getaddrinfo") return error.message;
      return `dial tcp: lookup ${error.hostname}: no such host`;
    case "EAI_AGAIN":
      return `dial tcp: lookup ${error.hostname}: Temporary failure in name resolution`;
    case "UND_ERR_CONNECT_TIMEOUT":
      return "net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)";
    case "UND_ERR_HEADERS_TIMEOUT":
      return "net/http: request canceled (Client.Timeout exceeded while awaiting headers)";
    case "ECONNRESET":
    case "EPIPE":
      return "read: connection reset by peer";
    case "UND_ERR_SOCKET":
      return "EOF";
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
      return "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    case "CERT_HAS_EXPIRED":
      return "tls: failed to verify certificate: x509: certificate has expired or is not yet valid";
    default:
      return isNotTls(error) ? "http: server gave HTTP response to HTTPS client" : error.message;
  }
}

function joinPort(address: string, port: number | undefined): string {
  const host = address.includes(":") ? `[${address}]` : address;
  return port === undefined ? host : `${host}:${port}`;
}

/** True when a TLS client got an answer in plain text. */
function isNotTls(error: unknown): boolean {
  const { code, message = "" } = innermost(error);
  return (
    code === "ERR_SSL_WRONG_VERSION_NUMBER" ||
    code === "ERR_SSL_PACKET_LENGTH_TOO_LONG" ||
    /wrong version number/i.test(message)
  );
}
