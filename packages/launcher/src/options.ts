import { resolve } from "node:path";
import { BerthError } from "@berth/errors";
import { portsUsed } from "@berth/identity/layout";
import { allServices } from "./services.ts";

export interface LauncherOptions {
  /** State, kept over reboots. */
  root: string;
  /** Sockets. */
  runDir: string;
  /** Where the Engine API is served: unix:// and tcp:// URLs. */
  hosts: string[];
  /** Undefined: what fits the host (all, or what it had when it joined). */
  services: string[] | undefined;
  /** Where other hosts reach this one; opens the engine to them. */
  advertise: string | undefined;
  /** First of the ports that other hosts use. */
  basePort: number | undefined;
  /** A token of the engine to join. */
  join: string | undefined;
  quiet: boolean;
  verbose: boolean;
  hello: boolean;
}

export const help = `Usage: npm start -- [options]

Starts the engine: NATS and every service, each as its own process, restarted when it dies.
Ctrl-C stops them; containers run on, and the next start finds them again.

  --root DIR       state directory (default /var/lib/berth) [BERTH_ROOT]
  --run-dir DIR    directory of sockets (default /run/berth) [BERTH_RUN_DIR]
  --host URL       where to serve the Engine API, repeatable (default unix://RUN_DIR/berth.sock) [BERTH_HOST]
  --services A,B   run these services only; a host that joins keeps them [BERTH_SERVICES]
  --advertise ADDR open the engine to other hosts, which reach this one at ADDR; kept [BERTH_ADVERTISE]
  --join TOKEN     join the engine that printed the token (berth node token); kept [BERTH_JOIN]
  --base-port N    first of the ten ports that other hosts use (default 7600); kept [BERTH_BASE_PORT]
  --no-hello       do not run the hello-berth container
  --verbose        show the services' logs here too (they are in ROOT/logs)
  --quiet          say nothing but errors
  --help           show this

BERTH_NATS_URL (with BERTH_NATS_USER, BERTH_NATS_PASSWORD_FILE, or BERTH_NATS_CREDS; BERTH_NATS_CA and BERTH_NATS_IDENTITY for TLS)
names a NATS server to use instead of starting one.
`;

/** Throws INVALID_ARGUMENT with the flag and what was expected; undefined when help was asked for. */
export function readOptions(argv: readonly string[], env: NodeJS.ProcessEnv): LauncherOptions | undefined {
  const given = { root: env["BERTH_ROOT"] || "/var/lib/berth", runDir: env["BERTH_RUN_DIR"] || "/run/berth" };
  const hosts: string[] = [];
  const readServices = (text: string) => text.split(",").map(knownService);
  let services = env["BERTH_SERVICES"] ? readServices(env["BERTH_SERVICES"]) : undefined;
  const others = { advertise: env["BERTH_ADVERTISE"], join: env["BERTH_JOIN"], basePort: env["BERTH_BASE_PORT"] };
  const switches = { quiet: false, verbose: false, hello: true };
  const rest = argv.flatMap((argument) => splitEquals(argument));
  const value = (flag: string): string => {
    const next = rest.shift();
    if (next === undefined || next === "") throw new BerthError("INVALID_ARGUMENT", `${flag} expects a value`);
    return next;
  };
  for (let flag = rest.shift(); flag !== undefined; flag = rest.shift()) {
    if (flag === "--help" || flag === "-h") return undefined;
    if (flag === "--root") given.root = value(flag);
    else if (flag === "--run-dir") given.runDir = value(flag);
    else if (flag === "--host" || flag === "-H") hosts.push(value(flag));
    else if (flag === "--services") services = readServices(value(flag));
    else if (flag === "--advertise") others.advertise = value(flag);
    else if (flag === "--join") others.join = value(flag);
    else if (flag === "--base-port") others.basePort = value(flag);
    else if (flag === "--quiet") switches.quiet = true;
    else if (flag === "--verbose") switches.verbose = true;
    else if (flag === "--no-hello") switches.hello = false;
    else throw new BerthError("INVALID_ARGUMENT", `unknown option ${flag}; --help lists them`);
  }
  const runDir = resolve(given.runDir);
  if (hosts.length === 0) hosts.push(...(env["BERTH_HOST"] ?? "").split(",").filter((host) => host !== ""));
  if (hosts.length === 0) hosts.push(`unix://${runDir}/berth.sock`);
  for (const host of hosts) {
    if (!/^(unix:\/\/\/.+|tcp:\/\/.+:\d+)$/.test(host)) {
      throw new BerthError(
        "INVALID_ARGUMENT",
        `--host: "${host}" is not valid, expected unix:///PATH or tcp://HOST:PORT`,
      );
    }
  }
  const advertise = others.advertise ? readAdvertise(others.advertise) : undefined;
  const basePort = others.basePort ? readBasePort(others.basePort) : undefined;
  const elsewhere = { advertise, basePort, join: others.join || undefined };
  return { root: resolve(given.root), runDir, hosts, services, ...elsewhere, ...switches };
}

/** An address of one interface: certificates and announcements name it, so "all" is none. */
function readAdvertise(text: string): string {
  const address = text.replace(/^\[(.*)\]$/, "$1");
  const isAny = /^(0\.0\.0\.0|::|0)$/.test(address);
  if (!isAny && /^[A-Za-z0-9](?:[\w.:-]{0,253}[A-Za-z0-9])?$|^[0-9a-f:]{2,39}$/i.test(address)) return address;
  throw new BerthError(
    "INVALID_ARGUMENT",
    `--advertise: "${text}" is not valid, expected the address at which other hosts reach this one`,
  );
}

function readBasePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1024 && port + portsUsed <= 65_536) return port;
  throw new BerthError("INVALID_ARGUMENT", `--base-port: "${text}" is not valid, expected a port from 1024 to 65526`);
}

function splitEquals(argument: string): string[] {
  const equals = argument.startsWith("--") ? argument.indexOf("=") : -1;
  return equals < 0 ? [argument] : [argument.slice(0, equals), argument.slice(equals + 1)];
}

function knownService(name: string): string {
  if (allServices.some((service) => service.name === name)) return name;
  const known = allServices.map((service) => service.name).join(", ");
  throw new BerthError("INVALID_ARGUMENT", `--services: there is no service "${name}", expected some of ${known}`);
}
