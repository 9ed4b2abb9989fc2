// Each service under a launcher of its own, as deploy/systemd/berth@.service has it, with a NATS server that is none of theirs.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { acquireNatsServer, type RunningEngine, startEngine } from "@berth/launcher";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  createNetns,
  Docker,
  eventually,
  findDocker,
  must,
  type NetworkNamespace,
  type Registry,
  run,
  startRegistry,
  stop,
} from "../../src/index.ts";

const services = ["image-store", "snapshotter", "registry-proxy", "supervisor", "gateway"];
const units = new Map<string, RunningEngine>();
let work: string;
let netns: NetworkNamespace;
let nats: ChildProcess;
let registry: Registry;
let docker: Docker;

/** The settings of the two files that the unit reads, with directories of the test's. */
async function startUnit(service: string): Promise<void> {
  const unit = await readFile(join(import.meta.dirname, "../../../../deploy/systemd/berth@.service"), "utf8");
  const line = /^Environment=(.*)$/m.exec(unit)?.[1] ?? "";
  const text = line
    .replaceAll("%i", service)
    .replace("/var/lib/berth", `${work}/lib`)
    .replace("/run/berth", `${work}/run`);
  const own = Object.fromEntries(text.split(" ").map((pair) => pair.split("="))) as Record<string, string>;
  const { BERTH_ROOT: root = "", BERTH_RUN_DIR: runDir = "", ...env } = own;
  const common = {
    BERTH_NATS_URL: "nats://127.0.0.1:4222",
    BERTH_NATS_USER: "berth",
    BERTH_NATS_PASSWORD_FILE: join(work, "password"),
    BERTH_NODE_ID: "0123456789abcdef0123456789abcdef",
    BERTH_HOST_ID: "fedcba9876543210fedcba9876543210",
  };
  const hosts = [`unix://${work}/run/berth.sock`];
  units.set(service, await startEngine({ root, runDir, netns: netns.path, hosts, env: { ...common, ...env } }));
}

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "berth-units-"));
  netns = await createNetns(`berth-units-${process.pid}`);
  registry = await startRegistry({ dir: join(work, "registry"), enter: netns.enter });
  await writeFile(join(work, "password"), "secret\n");
  const configuration = join(work, "nats.conf");
  const jetstream = `jetstream { store_dir: "${work}/nats", sync_interval: always }`;
  await writeFile(configuration, `host: 127.0.0.1\nauthorization { user: berth, password: secret }\n${jetstream}\n`);
  const [command = "", ...words] = [...netns.enter, await acquireNatsServer(), "-c", configuration];
  nats = spawn(command, words, { stdio: "ignore" });
  const probe = ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/4222"];
  await eventually("NATS is there", async () => (await run([...netns.enter, ...probe])).code === 0 || undefined);
  docker = new Docker(await findDocker(), `${work}/run/berth.sock`, join(work, "docker-config"));
  // In any order.
  await Promise.all(services.map(startUnit));
}, 120_000);

afterAll(async () => {
  await docker?.run(["rm", "-f", "kept"]);
  for (const unit of units.values()) await unit.stop();
  if (nats !== undefined) await stop(nats);
  await registry?.stop();
  await netns?.remove();
  await rm(work, { recursive: true, force: true });
}, 120_000);

it("makes one engine of them, in which each can be restarted by itself", async () => {
  const script = join(import.meta.dirname, "../../src/push-image.ts");
  await must([...netns.enter, process.execPath, script, "busybox", registry.host], { timeoutMs: 120_000 });
  const busybox = `${registry.host}/busybox:latest`;
  await docker.must(["run", "-d", "--name", "kept", busybox, "sleep", "1000"], { timeoutMs: 60_000 });
  const pid = await docker.must(["inspect", "-f", "{{.State.Pid}}", "kept"]);
  for (const service of services) {
    await units.get(service)?.stop();
    await startUnit(service);
    expect(await docker.must(["exec", "kept", "echo", "fine"]), service).toBe("fine\n");
    expect(await docker.must(["run", "--rm", busybox, "echo", "new"]), service).toBe("new\n");
  }
  expect(await docker.must(["inspect", "-f", "{{.State.Pid}}", "kept"])).toBe(pid);
  expect((await docker.must(["info", "--format", "{{.Containers}}"])).trim()).toBe("1");
}, 120_000);
