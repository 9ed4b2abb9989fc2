// A host's way to the authority.
import { X509Certificate } from "node:crypto";
import { request } from "node:http";
import { connect as connectPlain } from "node:net";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { BerthError, errorMessage, isBerthError, isReason } from "@berth/errors";
import { fingerprintOf } from "./certificates.ts";
import type { JoinRequest, Membership, RenewRequest } from "./protocol.ts";
import { identityIn } from "./uri.ts";

/** For one address, connecting included, ms. */
const timeoutMs = 15_000;
const maxAnswerBytes = 1024 * 1024;

/** Whom a connection must lead to. */
type Trust = { fingerprint: string } | { ca: string; identity: string; cluster: string };

/**
 * Joins: the certificate at the other end must be vouched for by the one with this fingerprint. Addresses are tried in turn.
 * @throws UNAVAILABLE when none answers, UNAUTHENTICATED when one is not the authority, or the authority's refusal
 */
export function askToJoin(addresses: readonly string[], fingerprint: string, body: JoinRequest): Promise<Membership> {
  return askAny(addresses, { fingerprint }, "/join", body);
}

/** Renews, as the host whose key and certificate `identity` (PEM) holds. @throws as askToJoin */
export function askToRenew(
  addresses: readonly string[],
  trust: { ca: string; identity: string; cluster: string },
  body: RenewRequest,
): Promise<Membership> {
  return askAny(addresses, trust, "/renew", body);
}

/** This host's address on the way to the first of `addresses` that takes a connection. @throws UNAVAILABLE */
export async function ownAddressTowards(addresses: readonly string[]): Promise<string> {
  const failures: string[] = [];
  for (const address of addresses) {
    try {
      return await localAddress(partsOf(address));
    } catch (error) {
      failures.push(`${address}: ${errorMessage(error)}`);
    }
  }
  throw new BerthError("UNAVAILABLE", `the engine can't be reached (${failures.join("; ")})`);
}

function localAddress(target: { host: string; port: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectPlain({ ...target, timeout: timeoutMs });
    const end = (settle: () => void) => {
      settle();
      socket.destroy();
    };
    socket.once("connect", () => end(() => resolve(socket.localAddress ?? "")));
    socket.once("timeout", () => end(() => reject(new Error(`no answer within ${timeoutMs / 1000} s`))));
    socket.once("error", (error) => end(() => reject(error)));
  });
}

function partsOf(address: string): { host: string; port: number } {
  const [, host = "", port] = /^(.+):(\d+)$/.exec(address) ?? [];
  return { host: host.replace(/^\[(.*)\]$/, "$1"), port: Number(port) };
}

async function askAny(addresses: readonly string[], trust: Trust, path: string, body: object): Promise<Membership> {
  const failures: string[] = [];
  for (const address of addresses) {
    try {
      return await ask(address, trust, path, body);
    } catch (error) {
      if (isBerthError(error) && error.reason !== "UNAVAILABLE") throw error;
      failures.push(`${address}: ${errorMessage(error)}`);
    }
  }
  throw new BerthError("UNAVAILABLE", `the engine's authority does not answer (${failures.join("; ")})`);
}

async function ask(address: string, trust: Trust, path: string, body: object): Promise<Membership> {
  const socket = await secured(partsOf(address), trust);
  try {
    const { status, text } = await post(socket, path, JSON.stringify(body));
    if (status === 200) return JSON.parse(text) as Membership;
    throw refusal(status, text);
  } finally {
    socket.destroy();
  }
}

/** Nothing is said on the connection before its other end is known. */
function secured(target: { host: string; port: number }, trust: Trust): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...target, servername: "berth", minVersion: "TLSv1.3", ...optionsOf(trust) });
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(timeoutMs, () => fail(new BerthError("UNAVAILABLE", `no answer within ${timeoutMs / 1000} s`)));
    socket.once("error", (error) => fail(new BerthError("UNAVAILABLE", error.message, {}, { cause: error })));
    socket.once("secureConnect", () => {
      if ("fingerprint" in trust && !isVouchedFor(socket, trust.fingerprint))
        fail(
          new BerthError("UNAUTHENTICATED", `${target.host}:${target.port} is not the engine that the token is for`),
        );
      else resolve(socket);
    });
  });
}

function optionsOf(trust: Trust): ConnectionOptions {
  // Nobody vouches for a pinned certificate but the token: it is compared as soon as it is known.
  if ("fingerprint" in trust) return { rejectUnauthorized: false };
  const { ca, identity, cluster } = trust;
  return {
    ca,
    key: identity,
    cert: identity,
    checkServerIdentity: (_host, certificate) => {
      const found = identityIn(certificate.subjectaltname);
      if (found?.role === "authority" && found.cluster === cluster) return undefined;
      return new Error("the certificate is not that of the cluster's authority");
    },
  };
}

/** The peer's certificate is for an authority, and was issued by the one that is pinned. */
function isVouchedFor(socket: TLSSocket, fingerprint: string): boolean {
  const leaf = socket.getPeerCertificate(true);
  if (identityIn(leaf.subjectaltname)?.role !== "authority" || leaf.issuerCertificate === undefined) return false;
  const issuer = new X509Certificate(leaf.issuerCertificate.raw);
  const certificate = new X509Certificate(leaf.raw);
  return (
    fingerprintOf(issuer.raw) === fingerprint && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
  );
}

function post(socket: TLSSocket, path: string, body: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { host: "berth", "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const call = request(
      { method: "POST", path, headers, createConnection: () => socket, timeout: timeoutMs },
      (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > maxAnswerBytes) call.destroy(new Error("the answer is too long"));
          else chunks.push(chunk);
        });
        answer.once("error", reject);
        answer.once("end", () =>
          resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
        );
      },
    );
    call.once("timeout", () => call.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)));
    call.once("error", (error) => reject(new BerthError("UNAVAILABLE", error.message, {}, { cause: error })));
    call.end(body);
  });
}

function refusal(status: number, text: string): BerthError {
  try {
    const { reason, message } = JSON.parse(text) as { reason?: unknown; message?: unknown };
    if (isReason(reason) && typeof message === "string") return new BerthError(reason, message);
  } catch {
    // Not an authority of ours, or one that is stopping.
  }
  return new BerthError("UNAVAILABLE", `an answer of status ${status}`);
}
