import { resolve } from "node:path";
import { BerthError } from "@berth/errors";
import { allServices } from "./services.ts";

export interface LauncherOptions {
  /** State, kept over reboots. */
  root: string;
  /** Sockets. */
  runDir: string;
  /** Where the Engine API is served: unix:// and tcp:// URLs. */
  hosts: string[];
  services: string[];
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
  --services A,B   run these services only, for development
  --no-hello       do not run the hello-berth container
  --verbose        show the services' logs here too (they are in ROOT/logs)
  --quiet          say nothing but errors
  --help           show this

BERTH_NATS_URL (with BERTH_NATS_USER, BERTH_NATS_PASSWORD_FILE) names a NATS server to use instead of starting one.
`;

/** Throws INVALID_ARGUMENT with the flag and what was expected; undefined when help was asked for. */
export function readOptions(argv: readonly string[], env: NodeJS.ProcessEnv): LauncherOptions | undefined {
  const given = { root: env["BERTH_ROOT"] || "/var/lib/berth", runDir: env["BERTH_RUN_DIR"] || "/run/berth" };
  const hosts: string[] = [];
  let services = allServices.map(({ name }) => name);
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
    else if (flag === "--services") services = value(flag).split(",").map(knownService);
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
  return { root: resolve(given.root), runDir, hosts, services, ...switches };
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
