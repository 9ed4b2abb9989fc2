// Two hosts of one engine over a NATS that is somebody else's: by URL, user and password.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { acquireNatsServer } from "@berth/launcher";
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually, type Host, type Hosts, openHosts, run, stop } from "../../../src/index.ts";

let hosts: Hosts;
let first: Host;
let second: Host;
let nats: ChildProcess;

beforeAll(async () => {
  hosts = await openHosts(2);
  [first, second] = hosts.all as [Host, Host];
  const directory = join(hosts.work, "nats");
  await mkdir(directory);
  const passwordFile = join(directory, "password");
  await writeFile(passwordFile, "not-ours\n");
  const configuration = join(directory, "nats.conf");
  const user = "authorization { user: somebody, password: not-ours }";
  await writeFile(configuration, `host: "${first.address}"\n${user}\njetstream { store_dir: "${directory}/store" }\n`);
  const [command = "", ...words] = [...first.netns.enter, await acquireNatsServer(), "-c", configuration];
  nats = spawn(command, words, { stdio: "ignore" });
  const probe = ["bash", "-c", `exec 3<>/dev/tcp/${first.address}/4222`];
  await eventually("NATS is there", async () => (await run([...first.netns.enter, ...probe])).code === 0 || undefined);
  const env = {
    BERTH_NATS_URL: `nats://${first.address}:4222`,
    BERTH_NATS_USER: "somebody",
    BERTH_NATS_PASSWORD_FILE: passwordFile,
  };
  await first.start({ args: ["--advertise", first.address], env });
  const token = await first.token();
  await second.start({ args: ["--join", token], env, services: ["snapshotter", "supervisor"] });
}, 120_000);

afterAll(async () => {
  await second?.stop();
  await first?.stop();
  if (nats !== undefined) await stop(nats);
  await hosts?.close();
}, 120_000);

it("runs containers on both, with mutual TLS between them", async () => {
  const busybox = await hosts.pushBusybox();
  await first.docker.must(["pull", "-q", busybox]);
  await eventually(
    "both are seen",
    async () => (await first.berth(["node", "ls", "-q"])).stdout.split("\n").length === 3,
  );
  for (const host of ["host1", "host2"]) {
    const label = ["--label", `berth.node=${host}`];
    expect(await first.docker.must(["run", "--rm", ...label, busybox, "echo", host])).toBe(`${host}\n`);
  }
  expect(() => first.engine.pidOf("nats")).toThrow("no nats runs");
});

it("shuts a node out of the services, though NATS is not its own", async () => {
  expect((await first.berth(["node", "revoke", "host2"])).stdout).toBe("host2\n");
  const script = join(import.meta.dirname, "../../../src/call-as.ts");
  const files = {
    identityCa: join(second.root, "identity/ca.pem"),
    identity: join(second.root, "identity/snapshotter.pem"),
  };
  const wish = JSON.stringify({ address: `tcp:${first.address}:7604`, method: "listImages", ...files });
  await eventually(
    "it is refused",
    async () => (await second.run([process.execPath, script, wish])).stdout.includes("UNAUTHENTICATED") || undefined,
    5_000,
  );
  expect(await readFile(join(first.root, "logs/image-store.log"), "utf8")).toContain("the node was shut out");
});
