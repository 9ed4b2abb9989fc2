// What older clients mean by the same request, where it can be seen from inside the container.
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Bed, openBed } from "../../src/index.ts";

let bed: Bed;
let image: string;

beforeAll(async () => {
  bed = await openBed();
  image = await bed.push("busybox");
  await bed.docker.must(["pull", image]);
}, 300_000);

afterAll(async () => {
  await bed?.close();
}, 120_000);

const binds = { Binds: ["/dev:/d:ro"] };
const mounts = { Mounts: [{ Type: "bind", Source: "/dev", Target: "/d", ReadOnly: true }] };

it.each([
  ["1.24", binds, "no yes"],
  ["1.43", binds, "no yes"],
  ["1.44", binds, "no no"],
  ["1.51", binds, "no no"],
  ["1.30", mounts, "no yes"],
  ["1.43", mounts, "no yes"],
  ["1.44", mounts, "no no"],
] as const)(
  "API %s, %j: is the bind writable, and what is mounted below it? %s",
  async (version, hostConfig, wanted) => {
    const write = (path: string) =>
      `(touch ${path}/berth-old 2>/dev/null && rm ${path}/berth-old && printf yes || printf no)`;
    const { Id } = await bed.api.must<{ Id: string }>("POST", `/v${version}/containers/create`, {
      Image: image,
      Cmd: ["sh", "-c", `${write("/d")}; printf ' '; ${write("/d/shm")}`],
      HostConfig: hostConfig,
    });
    await bed.docker.must(["start", Id]);
    await bed.docker.must(["wait", Id]);
    expect(await bed.docker.must(["logs", Id])).toBe(wanted);
    const { HostConfig } = await bed.api.must<{ HostConfig: { Mounts?: unknown } }>("GET", `/containers/${Id}/json`);
    expect(HostConfig.Mounts ?? undefined).toEqual("Mounts" in hostConfig ? hostConfig.Mounts : undefined);
    await bed.docker.must(["rm", Id]);
  },
);
