import type { TLSSocket } from "node:tls";
import type { Revocations } from "@berth/bus";
import { BerthError, GrpcCode } from "@berth/errors";
import { backdatedMs, identityIn } from "@berth/identity/uri";
import type { Logger } from "@berth/log";
import {
  Metadata,
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from "@grpc/grpc-js";
import type { CallContext } from "nice-grpc";
import { reasonKey } from "../trailers.ts";
import { type Caller, mayCall } from "./callers.ts";

/** Whom a caller's certificate names. */
export interface Peer extends Caller {
  nodeName: string;
  /** Of the certificate, ms since the epoch. */
  issuedAt: number;
  expiresAt: number;
}

/** Set by the interceptor for calls from other hosts, whatever the caller sent under this name. */
export const peerKey = "berth-peer";

/** Decides about calls from other hosts; those over a unix socket come from root on this one. */
export class Guard {
  readonly #ownNode: string;
  readonly #revocations: Pick<Revocations, "has"> | undefined;
  readonly #log: Logger;

  constructor(ownNode: string, revocations: Pick<Revocations, "has"> | undefined, log: Logger) {
    this.#ownNode = ownNode;
    this.#revocations = revocations;
    this.#log = log;
  }

  /** The caller, where it is on another host. @throws UNAUTHENTICATED when it is out, FORBIDDEN when the call is not for its role */
  admit(context: CallContext, service: string, method: string): Peer | undefined {
    const text = context.metadata.get(peerKey);
    if (text === undefined) return undefined;
    const peer = JSON.parse(text) as Peer;
    const { role, nodeId, nodeName, issuedAt, expiresAt } = peer;
    const who = { role, node: nodeName, nodeId, address: context.peer, call: `${service}/${method}` };
    if (this.#revocations?.has(nodeId, issuedAt)) {
      this.#log.warn(who, "a call was refused: the node was shut out");
      throw shutOut(nodeName);
    }
    if (expiresAt <= Date.now()) {
      this.#log.warn(who, "a call was refused: the certificate has expired since the connection was made");
      throw new BerthError("UNAUTHENTICATED", `the certificate of ${role}@${nodeName} has expired`);
    }
    if (mayCall(peer, this.#ownNode, service, method)) return peer;
    this.#log.warn(who, "a call was refused: it is not for this role");
    throw new BerthError("FORBIDDEN", `the ${role} of node ${nodeName} may not call ${service}/${method}`);
  }

  /** Before every call of a TLS connection: who is it? Without a certificate of the cluster it ends here. */
  readonly interceptor: ServerInterceptor = ({ path }, call) => {
    const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, next) => {
      metadata.remove(peerKey);
      const session = sessionOf(call);
      const peer = session === undefined ? undefined : peerOf(session);
      if (peer !== undefined) {
        metadata.set(peerKey, peer);
        next(metadata);
        return;
      }
      const why = String(session?.socket.authorizationError ?? "it names nobody of this cluster");
      const shown = session?.socket.getPeerCertificate().subject;
      this.#log.warn({ address: call.getPeer(), shown, call: path, why }, "a call was refused: no valid certificate");
      const trailer = new Metadata();
      trailer.set(reasonKey, "UNAUTHENTICATED");
      const details = "this needs a certificate of the engine's own authority";
      call.sendStatus({ code: GrpcCode.UNAUTHENTICATED, details, metadata: trailer });
      // It is told once, and then gone.
      session?.close();
    });
    return new ServerInterceptingCall(call, new ResponderBuilder().withStart((next) => next(listener.build())).build());
  };
}

export const shutOut = (nodeName: string) =>
  new BerthError("UNAUTHENTICATED", `node ${nodeName} was shut out of this engine`);

/**
 * When a connection is to be given up for a new one, ms since the epoch: by then its maker has renewed its certificate (at two
 * thirds of its life), and the old one is still good for calls under way.
 */
export const retirementOf = ({ issuedAt, expiresAt }: Peer): number => issuedAt + ((expiresAt - issuedAt) * 5) / 6;

/** Calls `retire` then; gives what ends the waiting. Early, where a timer can't wait as long. */
export function whenRetired(peer: Peer, retire: () => void): () => void {
  const timer = setTimeout(retire, Math.min(Math.max(retirementOf(peer) - Date.now(), minRetirementMs), maxTimerMs));
  timer.unref();
  return () => clearTimeout(timer);
}
const maxTimerMs = 2 ** 31 - 1;
/** A caller whose certificate is nearly over must not be sent away before it has said anything. */
const minRetirementMs = 1_000;

interface Session {
  readonly socket: TLSSocket;
  /** Takes no new streams; those that are open go on. */
  close(): void;
  once(event: "close", listener: () => void): void;
}

/**
 * The HTTP/2 session of a call. grpc-js' own getAuthContext() has no word of a certificate that is not valid, and decodes one that is
 * for every call anew.
 */
function sessionOf(call: object): Session | undefined {
  return (call as { stream?: { session?: Session } }).stream?.session;
}

const peers = new WeakMap<Session, string>();

/** A Peer as JSON; undefined without a valid certificate. */
function peerOf(session: Session): string | undefined {
  const known = peers.get(session);
  if (known !== undefined) return known;
  if (!session.socket.authorized) return undefined;
  const { subject, subjectaltname, valid_from, valid_to } = session.socket.getPeerCertificate();
  const identity = identityIn(subjectaltname);
  if (identity === undefined) return undefined;
  const { role, nodeId } = identity;
  const issuedAt = Date.parse(valid_from) + backdatedMs;
  const nodeName = String(subject.CN).replace(/[^\x21-\x7e]/g, "?");
  const peer: Peer = { role, nodeId, nodeName, issuedAt, expiresAt: Date.parse(valid_to) };
  const text = JSON.stringify(peer);
  peers.set(session, text);
  session.once(
    "close",
    whenRetired(peer, () => session.close()),
  );
  return text;
}
