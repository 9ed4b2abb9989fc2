// Who a certificate is for: one role on one node of one cluster, as a SPIFFE id (SPIFFE-ID.md, section 2) in its subjectAltName.

export interface Identity {
  cluster: string;
  nodeId: string;
  /** A service's name, "nats", or "launcher" for what renews the others. */
  role: string;
}

const pattern = /^spiffe:\/\/([a-z0-9]{1,63})\/node\/([A-Za-z0-9_-]{1,64})\/([a-z][a-z-]{0,31})$/;

export const identityUri = ({ cluster, nodeId, role }: Identity): string =>
  `spiffe://${cluster}/node/${nodeId}/${role}`;

/** Undefined for what is no identity of ours. */
export function parseIdentity(uri: string): Identity | undefined {
  const [, cluster, nodeId, role] = pattern.exec(uri) ?? [];
  return cluster === undefined || nodeId === undefined || role === undefined ? undefined : { cluster, nodeId, role };
}

/**
 * The identity in a certificate's names as Node's TLS tells them ("URI:spiffe://…, DNS:…"). Undefined unless there is exactly one
 * URI, and it is an identity. Node puts names that hold a comma or a quote into quotes, so none can pass for another.
 */
export function identityIn(subjectAltName: string | undefined): Identity | undefined {
  const uris = (subjectAltName ?? "").split(", ").filter((name) => name.startsWith("URI:"));
  const [uri] = uris;
  return uris.length === 1 && uri !== undefined ? parseIdentity(uri.slice("URI:".length)) : undefined;
}

/** How far back a certificate's validity begins, so that hosts whose clocks lag a little take it at once, ms. */
export const backdatedMs = 10 * 60_000;
