/** Who is who between hosts: the engine's own authority, certificates, join tokens, NATS users. */
export { CertificateAuthority, createRequest, fingerprintOf, type Issued } from "./certificates.ts";
export { askToJoin, askToRenew } from "./client.ts";
export { makeSecretDirectory, writeSecret } from "./files.ts";
export {
  authorityDirectory,
  fingerprintOfAuthority,
  joinHost,
  keepPlan,
  natsPlace,
  openHost,
  type Renewed,
  renewHost,
  serverSecrets,
} from "./host.ts";
export * from "./layout.ts";
export { createNatsKey, credentials, NatsAuthority, type Revocations } from "./nats.ts";
export { inboxPrefix } from "./permissions.ts";
export * from "./plan.ts";
export * from "./protocol.ts";
export { decodeToken, encodeToken, hashSecret, isSecret, type JoinToken, newSecret, newTokenId } from "./token.ts";
export { backdatedMs, type Identity, identityIn, identityUri, parseIdentity } from "./uri.ts";
