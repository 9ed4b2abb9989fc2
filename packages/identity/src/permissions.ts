// What each role may say and hear on NATS. Whoever has a node's credentials can speak for that node alone.

export interface Permissions {
  pub: { allow: string[] };
  sub: { allow: string[] };
}

/** Answers to a user's requests come here: nobody else hears them. */
export const inboxPrefix = (nodeId: string, role: string): string => `_INBOX.${nodeId}.${role}`;

/**
 * What JetStream is asked: reading any stream, and making those that are not there. Not among them: removing, emptying, changing,
 * restoring or taking snapshots of streams.
 */
const jetStreamRequests = [
  "$JS.API.INFO",
  "$JS.API.STREAM.INFO.*",
  "$JS.API.STREAM.CREATE.*",
  "$JS.API.STREAM.NAMES",
  "$JS.API.STREAM.MSG.GET.*",
  "$JS.API.DIRECT.GET.>",
  // Consumers have names that nobody can guess, and may not be listed: each reader's are its own.
  "$JS.API.CONSUMER.CREATE.>",
  "$JS.API.CONSUMER.INFO.>",
  "$JS.API.CONSUMER.MSG.NEXT.>",
  "$JS.API.CONSUMER.DELETE.>",
  "$JS.ACK.>",
  "$JS.FC.>",
];

/** Buckets by name, with who may write: a bucket that is not listed can't be written by anybody but the authority. */
const namesBucket = "$KV.BERTH_NAMES.>";
export const revokedBucket = "BERTH_REVOKED";

/** Node records are written by gateways, on behalf of operators, and each by its own node. */
const nodesBucket = (key: string): string => `$KV.BERTH_NODES.${key}`;

export function permissionsOf(role: string, nodeId: string): Permissions {
  const publish = [`berth.presence.${role}.${nodeId}.*`, "berth.presence-ask", ...jetStreamRequests];
  const events = (type: string) => `berth.events.${type}.*.${nodeId}`;
  if (role === "supervisor") publish.push(events("*"), namesBucket, nodesBucket(nodeId));
  if (role === "image-store") publish.push(events("image"));
  // Names of a node that is removed for good are given back by a gateway.
  if (role === "gateway") publish.push(nodesBucket(">"), namesBucket);
  if (role === "authority") publish.push(`$KV.${revokedBucket}.>`, nodesBucket(">"));
  const subscribe = ["berth.presence.>", "berth.presence-ask", `${inboxPrefix(nodeId, role)}.>`];
  return { pub: { allow: publish }, sub: { allow: subscribe } };
}
