// How this host stands to others: alone (then nothing here does anything), open to them, or joined to one that is.
import { spawn } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseDuration } from "@berth/config";
import { BerthError, isReason } from "@berth/errors";
import {
  caFile,
  credsFile,
  defaultBasePort,
  hostPort,
  identityFile,
  listens,
  type NodeSettings,
  natsPlanFile,
  natsRouteSecretFile,
  natsTrustFile,
  portOf,
  readSettings,
} from "@berth/identity/layout";
import { modeOf, type NatsPlan, peersOf, readPlan, serverNameOf } from "@berth/identity/plan";
import type { NatsMember, SharedNats } from "./nats/shared.ts";
import type { LauncherOptions } from "./options.ts";
import { allServices, authorityService, joinedServices, projectDir, type ServiceSpec } from "./services.ts";

/** Who this node is, as the launcher knows it. */
export interface NodeNames {
  nodeId: string;
  nodeName: string;
  site: string;
}

type Task = { do: "open"; nats: string[]; ttlMs: number } | { do: "join"; token: string } | { do: "renew" };

/** Between attempts to renew while the authority is away, ms. */
const retryMs = 60_000;
const maxTimerMs = 2 ** 31 - 1;
const helperTimeoutMs = 60_000;
const defaultTtlMs = 24 * 3_600_000;

/** The services of a host that is on its own: nothing about them changes. */
export function servicesOf(options: LauncherOptions, identity: HostIdentity | undefined): readonly ServiceSpec[] {
  const wanted = identity?.settings.services ?? options.services ?? allServices.map(({ name }) => name);
  return [authorityService, ...allServices].filter(({ name }) => wanted.includes(name));
}

/** The identity of a host that is open to others or has joined one that is, kept fresh. */
export class HostIdentity {
  settings: NodeSettings;
  readonly #root: string;
  readonly #names: NodeNames;
  #timer: NodeJS.Timeout | undefined;
  #renewAt: number;

  private constructor(root: string, names: NodeNames, settings: NodeSettings, renewAt: number) {
    this.#root = root;
    this.#names = names;
    this.settings = settings;
    this.#renewAt = renewAt;
  }

  /**
   * Opens, joins or renews, as options and ROOT say; undefined for a host on its own. @throws what the authority refuses with, and
   * UNAVAILABLE when it can't be reached and there are no certificates that are still good
   */
  static async establish(
    options: LauncherOptions,
    names: NodeNames,
    warn: (line: string) => void,
  ): Promise<HostIdentity | undefined> {
    const { root, join: token } = options;
    const kept = readSettings(root);
    if (token !== undefined && kept?.kind === "open")
      throw new BerthError(
        "CONFLICT",
        `${root} has an engine that is open to other hosts itself; it can't join another one`,
      );
    if (kept !== undefined && kept.nodeId !== names.nodeId)
      throw new BerthError(
        "CONFLICT",
        `${root}/identity is that of node ${kept.nodeId}, but this is node ${names.nodeId}`,
      );
    const isOpen =
      kept?.kind === "open" || (kept === undefined && token === undefined && options.advertise !== undefined);
    if (isOpen) return HostIdentity.#open(options, names, kept);
    if (kept === undefined && token === undefined) return undefined;
    return HostIdentity.#member(options, names, kept, warn);
  }

  static async #open(
    options: LauncherOptions,
    names: NodeNames,
    kept: NodeSettings | undefined,
  ): Promise<HostIdentity> {
    const { root } = options;
    const services = [authorityService.name, ...(options.services ?? allServices.map(({ name }) => name))];
    const renewAt = await runHelper(describe(options, names, kept, services), openTask());
    return new HostIdentity(root, names, settingsOf(root), renewAt);
  }

  static async #member(
    options: LauncherOptions,
    names: NodeNames,
    kept: NodeSettings | undefined,
    warn: (line: string) => void,
  ): Promise<HostIdentity> {
    const { root, join: token } = options;
    const services = options.services ?? kept?.services ?? joinedServices;
    const host = describe(options, names, kept, services);
    const done = (renewAt: number) => new HostIdentity(root, names, settingsOf(root), renewAt);
    if (kept === undefined) return done(await runHelper(host, { do: "join", token: token ?? "" }));
    try {
      return done(await runHelper(host, { do: "renew" }));
    } catch (error) {
      const { reason } = error as BerthError;
      // A node that was shut out may come back with a new token; a used one is refused like any other.
      if (reason === "FORBIDDEN" && token !== undefined) return done(await runHelper(host, { do: "join", token }));
      const missing = services.some((name) => !isGood(identityFile(root, name)));
      if (reason !== "UNAVAILABLE" || missing) throw error;
      warn(`${(error as Error).message}; going on with the certificates that are here`);
      const identity = done(0);
      identity.#renewAt = identity.#nextAttempt();
      return identity;
    }
  }

  /** What a service is told beside what every service is. */
  environment(service: string, runDir: string): NodeJS.ProcessEnv {
    const { advertise, basePort } = this.settings;
    const unix = `unix:${join(runDir, `${service}.sock`)}`;
    const tcp = listens(service) ? `,tcp:${hostPort(advertise, portOf(service, basePort))}` : "";
    const ca = caFile(this.#root);
    const identity = identityFile(this.#root, service);
    const nats = { BERTH_NATS_CREDS: credsFile(this.#root, service), BERTH_NATS_CA: ca, BERTH_NATS_IDENTITY: identity };
    return {
      BERTH_LISTEN: unix + tcp,
      BERTH_IDENTITY: identity,
      BERTH_IDENTITY_CA: ca,
      ...(this.hasOwnNats && nats),
      // One of them is enough to hear what the authority says.
      ...(this.hasOwnNats && service === this.#listener() && { BERTH_NATS_PLAN: natsPlanFile(this.#root) }),
    };
  }

  #listener(): string | undefined {
    return this.settings.services.find((service) => service !== authorityService.name);
  }

  /** NATS is the cluster's own: its users have credentials of the authority. */
  get hasOwnNats(): boolean {
    return this.settings.natsAccount !== undefined;
  }

  /** Where the cluster's NATS servers are, by the newest word that was heard. */
  get natsUrls(): string[] {
    return readPlan(natsPlanFile(this.#root))?.servers.map(({ url }) => url) ?? this.settings.nats;
  }

  /** The cluster's NATS server on this host, as the plan wants it. */
  sharedNats(plan: NatsPlan): SharedNats {
    const { natsAccount: account = "", advertise: host, basePort, nodeId, cluster } = this.settings;
    const files = { identityFile: identityFile(this.#root, "nats"), caFile: caFile(this.#root) };
    const port = portOf("nats", basePort);
    const own = plan.servers.find((server) => server.nodeId === nodeId);
    const alone = {
      host,
      port,
      url: `tls://${hostPort(host, port)}`,
      account,
      trustFile: natsTrustFile(this.#root),
      ...files,
    };
    if (own === undefined || modeOf(plan, nodeId) !== "member") return alone;
    const peers = peersOf(plan, nodeId);
    const member: NatsMember = {
      cluster,
      serverName: serverNameOf(own),
      since: own.since,
      routePort: portOf("nats-routes", basePort),
      routes: peers.map(({ route }) => route),
      clients: peers.map(({ url }) => url.replace("tls://", "")),
      secretFile: natsRouteSecretFile(this.#root),
      settled: plan.growth === undefined,
    };
    return { ...alone, member };
  }

  /** Renews in time, again and again; `renewed` is called after each. */
  keepFresh(renewed: () => void, warn: (line: string) => void): void {
    const wait = Math.min(Math.max(this.#renewAt - Date.now(), 1_000), maxTimerMs);
    this.#timer = setTimeout(() => {
      this.#renew()
        .then(renewed)
        .catch((error: unknown) => {
          warn(`certificates could not be renewed: ${(error as Error).message}`);
          this.#renewAt = this.#nextAttempt();
        })
        .finally(() => {
          if (this.#timer !== undefined) this.keepFresh(renewed, warn);
        });
    }, wait);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #renew(): Promise<void> {
    if (this.#renewAt <= Date.now()) await this.renewNow();
  }

  /** @throws as {@link HostIdentity.establish} */
  async renewNow(): Promise<void> {
    const { services, advertise, basePort, kind } = this.settings;
    const host = { root: this.#root, ...this.#names, advertise, basePort, services };
    this.#renewAt = await runHelper(host, kind === "open" ? openTask() : { do: "renew" });
    this.settings = settingsOf(this.#root);
  }

  /** Several times before the certificates are over, ms since the epoch. */
  #nextAttempt(): number {
    const over = this.settings.services.map((name) => endOf(identityFile(this.#root, name)));
    const left = Math.max(Math.min(...over) - Date.now(), 4_000);
    return Date.now() + Math.min(retryMs, left / 4);
  }
}

function describe(options: LauncherOptions, names: NodeNames, kept: NodeSettings | undefined, services: string[]) {
  const { root, advertise, basePort } = options;
  return {
    root,
    ...names,
    advertise: advertise ?? kept?.advertise ?? "",
    basePort: basePort ?? kept?.basePort ?? defaultBasePort,
    services,
  };
}

function openTask(): Task {
  const external = (process.env["BERTH_NATS_URL"] ?? "").split(",").filter((url) => url !== "");
  return { do: "open", nats: external, ttlMs: readTtl(process.env["BERTH_CERTIFICATE_TTL"]) };
}

/** The authority reads the same setting, with all its bounds; it is the first service to be started. */
function readTtl(text: string | undefined): number {
  if (!text) return defaultTtlMs;
  const ms = parseDuration(text);
  if (ms === undefined) throw new BerthError("INVALID_ARGUMENT", `BERTH_CERTIFICATE_TTL: "${text}" is no duration`);
  return ms;
}

function settingsOf(root: string): NodeSettings {
  const settings = readSettings(root);
  if (settings === undefined) throw new BerthError("INTERNAL", `${root}/identity was not written`);
  return settings;
}

const isGood = (path: string): boolean => existsSync(path) && endOf(path) > Date.now();

/** When a certificate is over, ms since the epoch. */
const endOf = (path: string): number => Date.parse(new X509Certificate(readFileSync(path)).validTo);

/** Runs packages/identity for a moment. Gives when to renew, ms since the epoch. @throws what it was refused with */
function runHelper(host: object, task: Task): Promise<number> {
  const main = join(projectDir, "packages/identity/dist/main.js");
  if (!existsSync(main)) throw new BerthError("NOT_FOUND", "not built: packages/identity (npm run build)");
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main], { stdio: ["pipe", "pipe", "pipe"], timeout: helperTimeoutMs });
    let said = "";
    let complained = "";
    child.stdout.on("data", (data: Buffer) => {
      said += data.toString();
    });
    child.stderr.on("data", (data: Buffer) => {
      complained = (complained + data.toString()).slice(-4096);
    });
    child.once("error", reject);
    child.once("close", () => {
      const failure = () => new BerthError("INTERNAL", `packages/identity failed: ${complained.trim() || "no answer"}`);
      try {
        const { renewAt, reason, message } = JSON.parse(said) as {
          renewAt?: number;
          reason?: string;
          message?: string;
        };
        if (renewAt !== undefined) resolve(renewAt);
        else reject(isReason(reason) ? new BerthError(reason, message ?? reason) : failure());
      } catch {
        reject(failure());
      }
    });
    // It reads all of it before it does anything.
    child.stdin.on("error", () => undefined);
    child.stdin.end(JSON.stringify({ host, ...task }));
  });
}
