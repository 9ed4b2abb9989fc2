import { readFileSync } from "node:fs";
import { type CommonConfig, type ConfigOf, type ConfigSpec, readServiceConfig, type Sources } from "@berth/config";
import { BerthError } from "@berth/errors";
import type { TlsOptions } from "./http/server.ts";

const spec = {
  host: {
    env: "BERTH_HOST",
    flag: "host",
    type: "list",
    optional: true,
    doc: "addresses of the Engine API, unix:///PATH or tcp://HOST:PORT, several by commas; unix://RUN_DIR/berth.sock unless given",
  },
  tlsCa: {
    env: "BERTH_TLS_CA",
    flag: "tlscacert",
    type: "string",
    optional: true,
    doc: "CA that clients' certificates must be signed by",
  },
  tlsCert: {
    env: "BERTH_TLS_CERT",
    flag: "tlscert",
    type: "string",
    optional: true,
    doc: "certificate of the Engine API's TCP addresses",
  },
  tlsKey: { env: "BERTH_TLS_KEY", flag: "tlskey", type: "string", optional: true, doc: "key of that certificate" },
  insecureTcp: {
    env: "BERTH_INSECURE_TCP",
    flag: "insecure-tcp",
    type: "list",
    optional: true,
    doc: "TCP addresses (HOST:PORT) served without TLS: whoever reaches them is root",
  },
  socketGroup: {
    env: "BERTH_SOCKET_GROUP",
    flag: "group",
    type: "string",
    optional: true,
    doc: "id of the group that may use the Engine API's unix socket",
  },
} as const satisfies ConfigSpec;

export type Address = { kind: "unix"; path: string } | { kind: "tcp"; host: string; port: number; tls: boolean };

export type GatewayConfig = CommonConfig & {
  readonly addresses: readonly Address[];
  readonly tls: TlsOptions | undefined;
  readonly socketGroup: number | undefined;
};

/** @throws INVALID_ARGUMENT with the key and what was expected */
export function readConfig(sources: Sources = {}): GatewayConfig {
  const read = readServiceConfig("gateway", spec, sources);
  const tls = readTls(read);
  const hosts = read.host ?? [`unix://${read.runDir}/berth.sock`];
  const addresses = hosts.map((host) => parseHost(host, tls !== undefined, read.insecureTcp ?? []));
  return Object.freeze({ ...read, addresses, tls, socketGroup: readGroup(read.socketGroup) });
}

function readTls({ tlsCa, tlsCert, tlsKey }: ConfigOf<typeof spec>): TlsOptions | undefined {
  const given = [tlsCa, tlsCert, tlsKey].filter((path) => path !== undefined);
  if (given.length === 0) return undefined;
  if (tlsCa === undefined || tlsCert === undefined || tlsKey === undefined) {
    throw invalid("BERTH_TLS_CA, BERTH_TLS_CERT and BERTH_TLS_KEY: expected all three or none");
  }
  return { ca: readFileSync(tlsCa), cert: readFileSync(tlsCert), key: readFileSync(tlsKey) };
}

function readGroup(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[0-9]{1,9}$/.test(text)) throw invalid(`BERTH_SOCKET_GROUP: "${text}" is not valid, expected a group id`);
  return Number(text);
}

/** The Engine API gives root: TCP needs certificates unless the address is named in BERTH_INSECURE_TCP. */
function parseHost(text: string, hasTls: boolean, insecure: readonly string[]): Address {
  const unix = /^unix:\/\/(\/.+)$/.exec(text);
  if (unix?.[1] !== undefined) return { kind: "unix", path: unix[1] };
  const tcp = /^tcp:\/\/(.+):([0-9]{1,5})$/.exec(text);
  if (tcp?.[1] === undefined)
    throw invalid(`BERTH_HOST: "${text}" is not valid, expected unix:///PATH or tcp://HOST:PORT`);
  const authority = `${tcp[1]}:${tcp[2]}`;
  const isInsecure = insecure.includes(authority);
  if (!hasTls && !isInsecure) {
    throw invalid(
      `BERTH_HOST: ${text} without TLS would give root to whoever reaches it: expected BERTH_TLS_CA, BERTH_TLS_CERT and ` +
        `BERTH_TLS_KEY, or BERTH_INSECURE_TCP=${authority}`,
    );
  }
  return { kind: "tcp", host: tcp[1].replace(/^\[(.*)\]$/, "$1"), port: Number(tcp[2]), tls: !isInsecure };
}

function invalid(message: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", message);
}
