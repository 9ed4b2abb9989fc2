// A whole engine to test against: network namespace, registry with images, every service, the docker CLI.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningEngine, startEngine } from "@berth/launcher";
import { Api } from "./api.ts";
import { Docker, findDocker } from "./docker.ts";
import { buildDebian } from "./images.ts";
import { standing } from "./leaks.ts";
import { createNetns, type NetworkNamespace } from "./netns.ts";
import { eventually, must, run } from "./process.ts";
import { startRegistry } from "./registry.ts";

export interface Bed {
  readonly engine: RunningEngine;
  readonly docker: Docker;
  readonly api: Api;
  readonly netns: NetworkNamespace;
  /** Everything the engine keeps is below here. */
  readonly work: string;
  /** "127.0.0.1:5000", as image names start. */
  readonly registry: string;
  /** Pushes a standard image into the bed's registry; Debian's is built once. */
  push(image: "busybox" | "debian"): Promise<string>;
  /** The same, and has the engine pull it; gives its name. */
  pull(image: "busybox" | "debian"): Promise<string>;
  /** Removes every container, stops all, and fails if anything is left behind. `look` sees what the stopped engine keeps. */
  close(look?: (bed: Bed) => Promise<void>): Promise<void>;
}

let beds = 0;

/** Kept between runs: making it takes most of a minute. */
const debianLayer = join(import.meta.dirname, "../../../.cache/testkit/debian-bookworm.gz");

/** `env`: settings of the engine, beside its own. */
export async function openBed({ env }: { env?: (work: string) => NodeJS.ProcessEnv } = {}): Promise<Bed> {
  const work = await mkdtemp(join(tmpdir(), "berth-bed-"));
  // Groups of other engines on this machine are none of this bed's business.
  const others = new Set((await standing(work)).cgroups);
  const netns = await createNetns(`berth-bed-${process.pid}-${beds++}`);
  const registry = await startRegistry({ dir: join(work, "registry"), enter: netns.enter });
  const engine = await startEngine({
    root: join(work, "root"),
    runDir: join(work, "run"),
    netns: netns.path,
    ...(env && { env: env(work) }),
  });
  const docker = new Docker(await findDocker(), engine.socket, join(work, "docker-config"));
  const api = new Api(engine.socket);
  const bed: Bed = {
    engine,
    docker,
    api,
    netns,
    work,
    registry: registry.host,
    push: async (image) => {
      // Built out here, where the network is; pushed from inside, where the registry is.
      if (image === "debian") await buildDebian(debianLayer);
      const script = join(import.meta.dirname, "push-image.ts");
      await must([...netns.enter, process.execPath, script, image, registry.host, debianLayer], { timeoutMs: 300_000 });
      return image === "busybox" ? `${registry.host}/busybox:latest` : `${registry.host}/debian:bookworm`;
    },
    pull: async (image) => {
      const name = await bed.push(image);
      await docker.must(["pull", "-q", name], { timeoutMs: 120_000 });
      return name;
    },
    close: async (look) => {
      const ids = (await docker.must(["ps", "-aq", "--no-trunc"])).split("\n").filter(Boolean);
      if (ids.length > 0) await docker.must(["rm", "-f", ...ids], { timeoutMs: 120_000 });
      api.close();
      await engine.stop();
      await registry.stop();
      try {
        await nothingLeft(work, netns, others);
        await look?.(bed);
      } finally {
        await netns.remove();
        await rm(work, { recursive: true, force: true });
      }
    },
  };
  return bed;
}

/** The engine has stopped and no container is left: no process, mount, cgroup, link or table may be either. */
async function nothingLeft(work: string, netns: NetworkNamespace, others: ReadonlySet<string>): Promise<void> {
  await eventually("nothing is left behind", async () => {
    const left = await standing(work);
    const links = await run(["ip", "-n", netns.name, "-o", "link", "show"]);
    const tables = await run([...netns.enter, "nft", "list", "tables"]);
    const own = links.stdout.split("\n").filter((line) => line !== "" && !/^\d+: lo:/.test(line));
    const groups = left.cgroups.filter((path) => !others.has(path));
    const all = [...left.mounts, ...left.processes, ...groups, ...own, ...tables.stdout.split("\n").filter(Boolean)];
    if (all.length > 0) throw new Error(`left behind:\n${all.join("\n")}`);
    return true;
  });
}
