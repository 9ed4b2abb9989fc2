import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../flags.ts";

/** Options of node:http's request that lead to the engine. */
export interface Address {
  text: string;
  options: { socketPath: string } | { host: string; port: number };
  tls: { ca: Buffer; cert: Buffer; key: Buffer } | undefined;
}

const defaultHost = "unix:///run/berth/berth.sock";

/** --host, BERTH_HOST, DOCKER_HOST or the default; TLS as docker's environment says. @throws UsageError */
export function findAddress(given: string | undefined, env: NodeJS.ProcessEnv): Address {
  // BERTH_HOST may list all addresses that an engine serves at; any is as good.
  const text = given ?? (env["BERTH_HOST"]?.split(",")[0] || env["DOCKER_HOST"] || defaultHost);
  const unix = /^unix:\/\/(\/.+)$/.exec(text);
  if (unix?.[1] !== undefined) return { text, options: { socketPath: unix[1] }, tls: undefined };
  const tcp = /^(?:tcp|http|https):\/\/(\[[^\]]+\]|[^:/]+)(?::([0-9]{1,5}))?\/?$/.exec(text);
  if (tcp?.[1] === undefined)
    throw new UsageError(`"${text}" is not an engine's address, expected unix:///PATH or tcp://HOST:PORT`);
  const wantsTls = text.startsWith("https:") || Boolean(env["DOCKER_TLS_VERIFY"]);
  const host = tcp[1].replace(/^\[(.*)\]$/, "$1");
  const port = Number(tcp[2] ?? (wantsTls ? 2376 : 2375));
  return { text, options: { host, port }, tls: wantsTls ? readTls(env) : undefined };
}

function readTls(env: NodeJS.ProcessEnv): { ca: Buffer; cert: Buffer; key: Buffer } {
  const directory = env["DOCKER_CERT_PATH"] || join(homedir(), ".docker");
  const read = (name: string) => readFileSync(join(directory, name));
  return { ca: read("ca.pem"), cert: read("cert.pem"), key: read("key.pem") };
}
