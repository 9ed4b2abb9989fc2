// Containers from host to host: all that they wrote goes along, and what can't go stays as it was.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, type Host, type Hosts, openHosts } from "../../../src/index.ts";

let hosts: Hosts;
let first: Host;
let second: Host;
let third: Host;
let busybox: string;

beforeAll(async () => {
  hosts = await openHosts(3);
  [first, second, third] = hosts.all as [Host, Host, Host];
  busybox = await hosts.pushBusybox();
  await first.start({ args: ["--advertise", first.address] });
  await second.start({
    args: ["--join", await first.token()],
    services: ["snapshotter", "supervisor", "gateway"],
    env: { BERTH_NODE_LABELS: "disk=ssd" },
  });
  await third.start({ args: ["--join", await first.token()], services: ["snapshotter", "supervisor"] });
  await first.docker.must(["pull", "-q", busybox]);
  await eventually(
    "three nodes",
    async () => (await berth(["node", "ls", "-q"])).split("\n").length === 4 || undefined,
  );
}, 180_000);

afterAll(async () => {
  await hosts?.close();
}, 120_000);

/** What `berth` prints at the first host. */
async function berth(args: readonly string[], host = first): Promise<string> {
  const { code, stdout, stderr } = await host.berth(args);
  if (code !== 0) throw new Error(`berth ${args.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

const docker = (...args: string[]) => first.docker.must(args);
const nodeOf = async (name: string, host = first) =>
  (await host.docker.must(["inspect", "-f", "{{.Node.Name}}", name])).trim();
/** What a host keeps of a container. */
const filesOn = async (host: Host, id: string) => (await host.run(["find", host.root, "-name", `${id}*`])).stdout;

describe("a move", () => {
  it("takes a container that does not run", async () => {
    const id = (await docker("create", "--name", "idle", "-l", "berth.node=host1", busybox, "cat", "/note")).trim();
    await docker("cp", "/etc/hostname", "idle:/note");
    const out = await berth(["container", "move", "--force", "idle", "host2"]);
    expect(out).toContain("Moving idle from host1 to host2\n");
    expect(out).toMatch(/Moved idle to host2\n$/);
    for (const host of [first, second]) expect(await nodeOf("idle", host)).toBe("host2");
    expect((await docker("start", "-a", "idle")).trim()).not.toBe("");
    expect(await filesOn(first, id)).toBe("");
    await docker("rm", "idle");
  });
});
