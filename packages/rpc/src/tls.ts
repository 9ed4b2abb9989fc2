import { readFileSync } from "node:fs";
import { BerthError } from "@berth/errors";
import { ServerCredentials } from "@grpc/grpc-js";
import { ChannelCredentials } from "nice-grpc";
import type { TcpAddress, UnixAddress } from "./address.ts";

/** Files of PEM text. All three or none; with them both sides prove who they are. */
export interface TlsFiles {
  tlsCa?: string | undefined;
  tlsCert?: string | undefined;
  tlsKey?: string | undefined;
}

/** A unix socket is guarded by its mode, TCP by mutual TLS; bare TCP is for loopback alone. Throws INVALID_ARGUMENT. */
export function serverCredentials(address: UnixAddress | TcpAddress, files: TlsFiles): ServerCredentials {
  if (address.kind === "unix") return ServerCredentials.createInsecure();
  const tls = readTls(address, files);
  if (tls === undefined) return ServerCredentials.createInsecure();
  return ServerCredentials.createSsl(tls.ca, [{ cert_chain: tls.cert, private_key: tls.key }], true);
}

export function channelCredentials(address: UnixAddress | TcpAddress, files: TlsFiles): ChannelCredentials {
  if (address.kind === "unix") return ChannelCredentials.createInsecure();
  const tls = readTls(address, files);
  return tls === undefined
    ? ChannelCredentials.createInsecure()
    : ChannelCredentials.createSsl(tls.ca, tls.key, tls.cert);
}

function readTls(address: TcpAddress, { tlsCa, tlsCert, tlsKey }: TlsFiles) {
  if (tlsCa !== undefined && tlsCert !== undefined && tlsKey !== undefined) {
    return { ca: readFileSync(tlsCa), cert: readFileSync(tlsCert), key: readFileSync(tlsKey) };
  }
  if (isLoopback(address.host)) return undefined;
  throw new BerthError(
    "INVALID_ARGUMENT",
    `tcp:${address.host}:${address.port} leaves this host, which needs BERTH_TLS_CA, BERTH_TLS_CERT and BERTH_TLS_KEY`,
  );
}

const isLoopback = (host: string): boolean => host === "localhost" || host === "[::1]" || /^127(\.\d+){3}$/.test(host);
