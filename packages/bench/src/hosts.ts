// What several hosts cost, beside one host in the same run.
import { Api, type Host, type Hosts, must, openBed, openHosts } from "@berth/testkit";
import { formatMs, median } from "./stats.ts";

export interface HostsOptions {
  /** In the list. */
  readonly containers: number;
  readonly creates: number;
  readonly rounds: number;
}

const hostCount = 5;
const workers = 8;

interface Side {
  readonly api: Api;
  readonly image: string;
  /** Of containers that are to run on a certain node. */
  readonly labels: Record<string, string>;
}

/** Five hosts with two gateways beside one host: a container's life through a second host, a list over all, creates over one to five. */
export async function benchHosts(options: HostsOptions): Promise<void> {
  const bed = await openBed();
  const hosts = await openCluster();
  try {
    const [one, two] = hosts.all as [Host, Host];
    const alone: Side = { api: new Api(bed.engine.socket), image: await bed.pull("busybox"), labels: {} };
    const image = await hosts.pushBusybox();
    await one.docker.must(["pull", "-q", image]);
    const far: Side = { api: new Api(one.docker.socket), image, labels: { "berth.node": two.name } };
    const spread = [one, two].map((host): Side => ({ api: new Api(host.docker.socket), image, labels: {} }));
    const [here, there] = await interleaved([alone, far], lifecycle, options.rounds);
    row("API lifecycle, one host and through a second", here, there, 1.5);
    await lists(alone, spread, options);
    await throughput(hosts, spread, options.creates);
    for (const { api } of [alone, far, ...spread]) api.close();
  } finally {
    await hosts.close();
    await bed.close();
  }
}

async function openCluster(): Promise<Hosts> {
  const hosts = await openHosts(hostCount);
  const [one, two, ...others] = hosts.all as [Host, Host, ...Host[]];
  await one.start({ args: ["--advertise", one.address] });
  await two.start({ args: ["--join", await one.token()], services: ["snapshotter", "supervisor", "gateway"] });
  for (const host of others)
    await host.start({ args: ["--join", await one.token()], services: ["snapshotter", "supervisor"] });
  return hosts;
}

function create({ api, image, labels }: Side): Promise<{ Id: string }> {
  const body = { Image: image, Cmd: ["true"], Labels: labels, HostConfig: { NetworkMode: "none" } };
  return api.must("POST", "/containers/create", body);
}

async function lifecycle(side: Side): Promise<void> {
  const { Id } = await create(side);
  const waiting = side.api.must("POST", `/containers/${Id}/wait?condition=next-exit`);
  await side.api.must("POST", `/containers/${Id}/start`);
  await waiting;
  await side.api.must("DELETE", `/containers/${Id}`);
}

/** Medians of each side, ms; rounds alternate, so that a slow minute hits all. */
async function interleaved(
  sides: readonly Side[],
  work: (side: Side) => Promise<unknown>,
  rounds: number,
): Promise<number[]> {
  const times = sides.map((): number[] => []);
  for (let round = 0; round < rounds + 3; round++)
    for (const [index, side] of sides.entries()) {
      const began = performance.now();
      await work(side);
      if (round >= 3) times[index]?.push(performance.now() - began);
    }
  return times.map(median);
}

async function lists(
  alone: Side,
  [first, second]: readonly Side[],
  { containers: count, rounds }: HostsOptions,
): Promise<void> {
  if (first === undefined || second === undefined) return;
  for (const sides of [[alone], [first, second]]) await many(count, sides);
  const [here, there] = await interleaved(
    [alone, first],
    ({ api }) => api.must("GET", "/containers/json?all=1"),
    rounds,
  );
  row(`list of ${count}, one host and over ${hostCount}`, here, there, 3);
  for (const { api } of [alone, first]) await clear(api);
}

/** Containers, made by workers that take turns at the gateways. Resolves to how many were made a second. */
async function many(count: number, sides: readonly Side[]): Promise<number> {
  let left = count;
  const began = performance.now();
  const work = async (side: Side) => {
    while (left-- > 0) await create(side);
  };
  await Promise.all(Array.from({ length: workers }, (_, n) => work(sides[n % sides.length] as Side)));
  return count / ((performance.now() - began) / 1000);
}

async function clear(api: Api): Promise<void> {
  const found = await api.must<{ Id: string }[]>("GET", "/containers/json?all=1");
  const work = async () => {
    for (let next = found.pop(); next !== undefined; next = found.pop())
      await api.must("DELETE", `/containers/${next.Id}?force=1`);
  };
  await Promise.all(Array.from({ length: workers }, work));
}

/** The others are drained: what is measured is how the work of a create spreads. */
async function throughput(hosts: Hosts, sides: readonly Side[], creates: number): Promise<void> {
  const [one] = hosts.all as [Host];
  for (const number of [1, 2, 3, hostCount]) {
    const used = hosts.all.slice(0, number).map(({ name }) => name);
    const unused = hosts.all.slice(number).map(({ name }) => name);
    await availability(one, "active", used);
    await availability(one, "drain", unused);
    const made = await many(creates, sides);
    const busy = await machineBusy(() => many(Math.ceil(creates / 4), sides));
    console.log(
      `${creates} creates over ${number} host${number === 1 ? "" : "s"}: ${made.toFixed(0)}/s, the machine's cores ${busy} % busy`,
    );
    await clear((sides[0] as Side).api);
  }
}

async function availability(host: Host, word: "active" | "drain", names: readonly string[]): Promise<void> {
  for (const name of names) {
    const { code, stderr } = await host.berth(["node", "update", "--availability", word, name]);
    if (code !== 0) throw new Error(stderr);
  }
}

/** Of /proc/stat's first line: everything but idle and waiting for disks, in percent. */
async function machineBusy(work: () => Promise<unknown>): Promise<number> {
  const read = async () => (await must(["head", "-1", "/proc/stat"])).trim().split(/\s+/).slice(1).map(Number);
  const before = await read();
  await work();
  const spent = (await read()).map((ticks, index) => ticks - (before[index] ?? 0));
  const all = spent.reduce((sum, ticks) => sum + ticks, 0);
  const idle = (spent[3] ?? 0) + (spent[4] ?? 0);
  return Math.round((100 * (all - idle)) / all);
}

function row(name: string, here = 0, there = 0, wanted: number): void {
  console.log(`${name}: ${formatMs(here)}, ${formatMs(there)}, ratio ${(there / here).toFixed(2)} (wanted ${wanted})`);
}
