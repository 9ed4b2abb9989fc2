// What each API version's answers hold, beside Docker 28.5's: every field that it has and no other, with its type. Recorded in
// testdata; BERTH_TEST_PEER names a Docker engine's socket to ask instead, and with BERTH_TEST_RECORD=1 its answers become the record.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Api, type Bed, openBed } from "@berth/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const versions = [24, 25, 30, 35, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51];
const file = join(import.meta.dirname, "../testdata/docker-28.5-versions.json");
const peerSocket = process.env["BERTH_TEST_PEER"];
const recording = peerSocket !== undefined && process.env["BERTH_TEST_RECORD"] === "1";

const calls = {
  version: "/version",
  info: "/info",
  containers: "/containers/json?all=1&size=1&filters={%22name%22:[%22logs-v%22]}",
  inspect: "/containers/logs-v/json",
  images: "/images/json?filters={%22reference%22:[%22logs-v%22]}",
  image: "/images/logs-v/json",
  history: "/images/logs-v/history",
  network: "/networks/bridge",
  volume: "/volumes/logs-v",
  volumes: "/volumes?filters={%22name%22:[%22logs-v%22]}",
  df: "/system/df",
  stats: "/containers/logs-v/stats?stream=0",
  top: "/containers/logs-v/top",
  changes: "/containers/logs-v/changes",
  exec: "/exec/EXEC/json",
  events: "/events?since=SINCE&until=UNTIL&filters={%22container%22:[%22logs-v%22],%22event%22:[%22create%22]}",
};
type Call = keyof typeof calls;
/** By call: the first version's fields, then what each version adds and takes away. */
type Record28 = Partial<Record<Call, { version: number; more: string[]; less: string[] }[]>>;

/** What depends on the machine or the engine's parts and not on the version. */
const leaveOut: [Call, RegExp][] = [
  [
    "info",
    /^(Plugins|Runtimes|SystemStatus|DriverStatus|Containerd|Warnings|DefaultAddressPools|DiscoveredDevices|CDISpecDirs|FirewallBackend\.Info)\b/,
  ],
  ["info", /^(RegistryConfig|ContainerdCommit|RuncCommit|InitCommit|SecurityOptions)\./],
  ["version", /^(Components|Platform)\b/],
  ["df", /^(LayersSize|Images|Containers|Volumes|BuildCache)\b/],
  // Which node of several it is on; the manifest, which Docker has with its containerd store alone.
  ["inspect", /^(Node|ImageManifestDescriptor)\b/],
  ["network", /^Containers\b/],
  ["image", /^GraphDriver\b/],
  ["stats", /^(networks|.*stats|blkio_stats)\./],
];

/** "path type" of every field; of a list its first entry. */
function fieldsOf(value: unknown, path = ""): string[] {
  if (value === null) return [`${path} null`];
  if (Array.isArray(value)) return [`${path} list`, ...(value.length > 0 ? fieldsOf(value[0], `${path}[]`) : [])];
  if (typeof value !== "object") return [`${path} ${typeof value}`];
  const nested = Object.entries(value).flatMap(([key, item]) => fieldsOf(item, path === "" ? key : `${path}.${key}`));
  return path === "" ? nested : [`${path} object`, ...nested];
}

class Subject {
  readonly api: Api;
  #exec = "";
  #since = 0;

  constructor(socket: string) {
    this.api = new Api(socket);
  }

  async prepare(): Promise<void> {
    await this.remove();
    this.#since = Math.floor(Date.now() / 1000) - 1;
    // An empty archive makes an image of the same kind everywhere.
    await this.api.must("POST", "/images/create?fromSrc=-&repo=logs-v&changes=CMD+sh&changes=ENV+A=b");
    await this.api.must("POST", "/volumes/create", { Name: "logs-v", Labels: { a: "b" } });
    await this.api.must("POST", "/containers/create?name=logs-v", {
      Image: "busybox",
      Cmd: ["sleep", "1000"],
      Labels: { a: "b" },
      Healthcheck: { Test: ["CMD", "true"], Interval: 3_600_000_000_000, StartInterval: 1_000_000_000 },
      HostConfig: { Binds: ["logs-v:/v"], Annotations: { c: "d" }, LogConfig: { Type: "json-file", Config: {} } },
    });
    await this.api.must("POST", "/containers/logs-v/start");
    const { Id } = await this.api.must<{ Id: string }>("POST", "/containers/logs-v/exec", { Cmd: ["true"] });
    this.#exec = Id;
  }

  async remove(): Promise<void> {
    await this.api.call("DELETE", "/containers/logs-v?force=1");
    await this.api.call("DELETE", "/images/logs-v");
    await this.api.call("DELETE", "/volumes/logs-v");
  }

  async fields(call: Call, version: number): Promise<string[]> {
    const path = calls[call]
      .replace("EXEC", this.#exec)
      .replace("SINCE", String(this.#since))
      .replace("UNTIL", (Date.now() / 1000).toFixed(3));
    const { status, text } = await this.api.call("GET", `/v1.${version}${path}`);
    if (status !== 200) return [`status ${status}`];
    const found = fieldsOf(JSON.parse(text.split("\n")[0] ?? "")).map((field) => field.replace(/[0-9a-f]{64}/, "ID"));
    const isOut = (field: string) => leaveOut.some(([name, fields]) => name === call && fields.test(field));
    return [...new Set(found.filter((field) => !isOut(field)))].sort();
  }

  /** As the record has it. */
  async history(call: Call): Promise<NonNullable<Record28[Call]>> {
    let before: string[] = [];
    const steps: NonNullable<Record28[Call]> = [];
    // Each takes two samples, a second apart.
    for (const version of call === "stats" ? versions.filter((minor) => minor % 10 <= 1) : versions) {
      const now = await this.fields(call, version);
      const more = now.filter((field) => !before.includes(field));
      const less = before.filter((field) => !now.includes(field));
      if (more.length > 0 || less.length > 0) steps.push({ version, more, less });
      before = now;
    }
    return steps;
  }
}

describe("answers to API versions 1.24 to 1.51", () => {
  let bed: Bed;
  let berth: Subject;
  let peer: Subject | undefined;
  const record: Record28 = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Record28) : {};

  beforeAll(async () => {
    bed = await openBed();
    const image = await bed.pull("busybox");
    await bed.docker.must(["tag", image, "busybox:latest"]);
    berth = new Subject(bed.engine.socket);
    await berth.prepare();
    if (peerSocket === undefined) return;
    peer = new Subject(peerSocket);
    await peer.prepare();
  }, 300_000);
  afterAll(async () => {
    await peer?.remove();
    if (recording) writeFileSync(file, `${JSON.stringify(record, null, 1)}\n`);
    await bed?.close();
  }, 120_000);

  it.each(Object.keys(calls) as Call[])(
    "%s",
    async (call) => {
      const wanted = (await peer?.history(call)) ?? record[call];
      if (recording) record[call] = wanted ?? [];
      else expect(await berth.history(call)).toEqual(wanted);
    },
    120_000,
  );
});
