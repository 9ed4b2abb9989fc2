// Every service of every host is restarted, one after the other, while clients make, start, use and remove containers through two
// gateways: no call fails for a client that asks again where asking twice is no harm, and what runs already runs on.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Api, type ApiAnswer, eventually, type Host, type Hosts, openHosts } from "../../../src/index.ts";

let hosts: Hosts;
let all: readonly Host[];
let busybox: string;
const placed: Record<string, readonly string[]> = {
  host1: ["image-store", "snapshotter", "registry-proxy", "supervisor", "gateway"],
  host2: ["snapshotter", "supervisor", "gateway"],
  host3: ["snapshotter", "supervisor"],
};

beforeAll(async () => {
  hosts = await openHosts(3);
  all = hosts.all;
  const [one, ...others] = all as [Host, Host, Host];
  busybox = await hosts.pushBusybox();
  await one.start({ args: ["--advertise", one.address] });
  for (const host of others)
    await host.start({ args: ["--join", await one.token()], services: placed[host.name] as string[] });
  await one.docker.must(["pull", "-q", busybox]);
}, 180_000);

afterAll(async () => {
  await hosts?.close();
}, 120_000);

/** How long a call is tried again, ms: a service that is restarted is back within 2 s. */
const patienceMs = 30_000;

/** Two gateways; the next one is asked when the last one did not answer, or said that something is away. */
class Client {
  readonly #gateways: readonly Api[];
  #turn = Math.floor(Math.random() * 2);

  constructor(sockets: readonly string[]) {
    this.#gateways = sockets.map((socket) => new Api(socket));
  }

  /** Statuses of `again` are good answers to a second attempt: the first one was heard. */
  async call(
    method: string,
    path: string,
    body?: unknown,
    again: readonly number[] = [],
    headers = {},
  ): Promise<ApiAnswer> {
    const deadline = performance.now() + patienceMs;
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#ask(method, path, body, headers);
      if (answer !== undefined && answer.status < 400) return answer;
      if (attempt > 0 && answer !== undefined && again.includes(answer.status)) return answer;
      const isAway = answer === undefined || answer.status === 503;
      if (!isAway || performance.now() > deadline)
        throw new Error(`${method} ${path}: ${answer === undefined ? "no answer" : `${answer.status} ${answer.text}`}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #ask(method: string, path: string, body: unknown, headers: object): Promise<ApiAnswer | undefined> {
    const gateway = this.#gateways[this.#turn++ % this.#gateways.length] as Api;
    return gateway.call(method, path, body, 60_000, headers).catch(() => undefined);
  }

  close(): void {
    for (const gateway of this.#gateways) gateway.close();
  }
}

async function useOne(client: Client, name: string): Promise<void> {
  const body = { Image: busybox, Cmd: ["sleep", "1000"], HostConfig: { NetworkMode: "none" } };
  const key = { "idempotency-key": randomUUID() };
  const made = await client.call("POST", `/containers/create?name=${name}`, body, [], key);
  const { Id: id } = made.json as { Id: string };
  await client.call("POST", `/containers/${id}/start`, undefined, [304]);
  const exec = await client.call("POST", `/containers/${id}/exec`, { Cmd: ["sh", "-c", "exit 3"] });
  const { Id: execId } = exec.json as { Id: string };
  // Started once: that it runs already, or has run, is what a second attempt is told.
  await client.call("POST", `/exec/${execId}/start`, { Detach: true }, [409]);
  await eventually("the exec has ended", async () => {
    const { ExitCode } = (await client.call("GET", `/exec/${execId}/json`)).json as { ExitCode: number | null };
    if (ExitCode !== null) expect(ExitCode).toBe(3);
    return ExitCode === null ? undefined : true;
  });
  await client.call("DELETE", `/containers/${id}?force=1`, undefined, [404, 409]);
}

it("fails no call, and touches no container", async () => {
  const [one] = all as [Host];
  const standing = Array.from({ length: 9 }, (_, i) => `stands-${i}`);
  for (const name of standing) await one.docker.must(["run", "-d", "--name", name, busybox, "sleep", "10000"]);
  const runs = () =>
    one.docker.must(["inspect", "-f", "{{.Name}} {{.State.Pid}} {{.State.StartedAt}} {{.RestartCount}}", ...standing]);
  const before = await runs();
  let rolling = true;
  let rounds = 0;
  const sockets = all.slice(0, 2).map((host) => host.docker.socket);
  const clients = Array.from({ length: 4 }, () => new Client(sockets));
  const work = clients.map(async (client, n) => {
    for (let round = 0; rolling; round++) {
      await useOne(client, `load-${n}-${round}`);
      rounds++;
    }
  });
  const roll = async () => {
    for (const host of all)
      for (const service of placed[host.name] ?? []) {
        const pid = host.engine.pidOf(service);
        host.engine.kill(service, "SIGTERM");
        await eventually(
          `${host.name}'s ${service} has another process`,
          () => host.engine.pidOf(service) !== pid || undefined,
          30_000,
        );
        await host.engine.healthy(service, 30_000);
      }
    rolling = false;
  };
  try {
    await Promise.all([roll(), ...work]);
  } finally {
    rolling = false;
    await Promise.allSettled(work);
    for (const client of clients) client.close();
  }
  console.log(`rolling restart: ${rounds} containers made, used and removed meanwhile`);
  expect(rounds).toBeGreaterThan(10);
  expect(await runs()).toBe(before);
  const left = await one.docker.must(["ps", "-a", "--format", "{{.Names}}"]);
  expect(left.split("\n").filter(Boolean).sort()).toEqual(standing);
}, 240_000);
