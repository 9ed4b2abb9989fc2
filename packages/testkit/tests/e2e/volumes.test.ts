// Volumes and mounts as a user of the docker client meets them; each answer is what Docker 28.5 gives.
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bed, must, openBed } from "../../src/index.ts";

let bed: Bed;
let busybox: string;
beforeAll(async () => {
  bed = await openBed();
  busybox = await bed.pull("busybox");
}, 300_000);
afterAll(async () => {
  await bed?.close();
}, 120_000);

const docker = async (...args: string[]) => (await bed.docker.must(args)).trim();
const refusal = async (...args: string[]) => {
  const { code, stderr } = await bed.docker.run(args);
  expect(code).not.toBe(0);
  return stderr
    .replace(/\n\s*Run 'docker run --help'.*/s, "")
    .replace(/^docker: /, "")
    .trim();
};
const sh = (script: string, ...args: string[]) => docker("run", "--rm", ...args, busybox, "sh", "-c", script);

describe("docker volume", () => {
  it("creates, lists, shows and removes", async () => {
    expect(await docker("volume", "create", "--label", "a=b", "one")).toBe("one");
    expect(await docker("volume", "create", "one")).toBe("one");
    const anonymous = await docker("volume", "create");
    expect(anonymous).toMatch(/^[0-9a-f]{64}$/);
    const [shown] = JSON.parse(await docker("volume", "inspect", "one"));
    expect(shown).toMatchObject({ Driver: "local", Labels: { a: "b" }, Name: "one", Options: {}, Scope: "local" });
    expect(shown.CreatedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect((await stat(shown.Mountpoint)).isDirectory()).toBe(true);
    expect(await docker("volume", "ls", "-q", "--filter", "label=a=b")).toBe("one");
    expect(await docker("volume", "ls", "-q", "--filter", "name=^on")).toBe("one");
    expect(await docker("volume", "ls", "-q", "--filter", "driver=none")).toBe("");
    expect(await docker("volume", "prune", "-f")).toContain(anonymous);
    expect(await docker("volume", "ls", "-q")).toBe("one");
    expect(await docker("volume", "prune", "-af")).toMatch(/^Deleted Volumes:\none\n/);
    expect(await refusal("volume", "inspect", "one")).toContain("Error response from daemon: get one: no such volume");
    expect(await refusal("volume", "rm", "one")).toBe("Error response from daemon: get one: no such volume");
    expect(await docker("volume", "rm", "-f", "one")).toBe("one");
  });

  it("refuses what Docker refuses", async () => {
    const says = (text: string) => `Error response from daemon: ${text}`;
    expect(await refusal("volume", "create", "x")).toBe(
      says("create x: volume name is too short, names should be at least two alphanumeric characters"),
    );
    expect(await refusal("volume", "create", "--opt", "size=1m", "xx")).toBe(
      says("create xx: quota size requested but no quota support"),
    );
    expect(await refusal("volume", "create", "-d", "nope", "xx")).toBe(
      says('create xx: error looking up volume plugin nope: plugin "nope" not found'),
    );
    expect(await refusal("volume", "ls", "--filter", "foo=x")).toBe(says("invalid filter 'foo'"));
    const update = await bed.api.call("PUT", "/volumes/xx?version=1", {});
    expect([update.status, update.text]).toEqual([
      503,
      '{"message":"volume update only valid for cluster volumes, but swarm is unavailable"}\n',
    ]);
  });
});

describe("docker run with mounts", () => {
  it("shares a named volume, fills it from the image, and keeps it in use", async () => {
    await sh("echo more >/d/own", "-v", "data:/d", "-v", "copied:/etc");
    expect(await sh("cat /d/own; ls /c", "-v", "data:/d:ro", "-v", "copied:/c")).toMatch(/^more\n(.*\n)*group\n/);
    const id = await docker("create", "--name", "user", "-v", "data:/d", "-v", "/anon", "--tmpfs", "/t", busybox);
    expect(await refusal("volume", "rm", "data")).toBe(
      `Error response from daemon: remove data: volume is in use - [${id}]`,
    );
    const mounts = JSON.parse(await docker("inspect", "-f", "{{json .Mounts}}", "user"));
    expect(mounts).toHaveLength(2);
    expect(mounts[0]).toMatchObject({
      Type: "volume",
      Name: "data",
      Destination: "/d",
      Driver: "local",
      Mode: "z",
      RW: true,
      Propagation: "",
    });
    expect(mounts[1]).toMatchObject({ Type: "volume", Destination: "/anon", Driver: "local", Mode: "", RW: true });
    expect(await docker("ps", "-aq", "--no-trunc", "--filter", "volume=data")).toBe(id);
    expect(await docker("ps", "-aq", "--no-trunc", "--filter", "volume=/anon")).toBe(id);
    const df = JSON.parse(await docker("system", "df", "-v", "--format", "json"));
    const usage = df.Volumes.find(({ Name }: { Name: string }) => Name === "data");
    expect(usage).toMatchObject({ Links: "1", Driver: "local" });
    expect(usage.Size).not.toBe("0B");
    expect(await sh("grep -c ' /d ' /proc/mounts; touch /d/x", "--volumes-from", "user:ro").catch(String)).toContain(
      "Read-only file system",
    );
    await docker("rm", "-v", "user");
    expect(await docker("volume", "ls", "-q")).toBe("copied\ndata");
    await docker("volume", "rm", "copied", "data");
  });

  it("mounts options of the local driver, and says why it can't", async () => {
    await docker("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=1m,uid=5", "mem");
    expect(await sh("stat -c %u /x; grep -o 'size=1024k' /proc/mounts", "-v", "mem:/x")).toBe("5\nsize=1024k");
    await docker("volume", "create", "--opt", "type=none", "--opt", "device=/nonexist", "--opt", "o=bind", "bad");
    const path = await docker("volume", "inspect", "-f", "{{.Mountpoint}}", "bad");
    const why = `error while mounting volume '${path}': failed to mount local volume: mount /nonexist:${path}, flags: 0x1000: no such file or directory`;
    expect(await refusal("run", "--rm", "-v", "bad:/x", busybox, "true")).toBe(`Error response from daemon: ${why}`);
    expect(await refusal("run", "--rm", "-v", "bad:/bin", busybox, "true")).toBe(
      `Error response from daemon: failed to populate volume: ${why}`,
    );
    await docker("volume", "rm", "mem", "bad");
  });

  it("takes every kind of --mount", async () => {
    const work = await mkdtemp(join(bed.work, "mounts-"));
    await writeFile(join(work, "f"), "host\n");
    expect(
      await sh("cat /b/f; touch /b/x 2>&1", "--mount", `type=bind,src=${work},dst=/b,readonly`).catch(String),
    ).toContain("Read-only");
    expect(
      await sh(
        "stat -c %a /t; grep ' /t ' /proc/mounts | grep -o size=5120k",
        "--mount",
        "type=tmpfs,dst=/t,tmpfs-size=5m,tmpfs-mode=0700",
      ),
    ).toBe("700\nsize=5120k");
    expect(await sh("ls /i/etc", "--mount", `type=image,src=${busybox},dst=/i`)).toContain("passwd");
    expect(await sh("head -1 /i", "--mount", `type=image,src=${busybox},dst=/i,image-subpath=etc/passwd`)).toMatch(
      /^root:/,
    );
    expect(await sh("echo in >/v/dir/f", "-v", "sub:/v").catch(String)).toContain("nonexistent");
    await sh("mkdir /v/dir; echo in >/v/dir/f; ln -s / /v/out", "-v", "sub:/v");
    expect(await sh("cat /v/f", "--mount", "type=volume,src=sub,dst=/v,volume-subpath=dir")).toBe("in");
    expect(
      await refusal("run", "--rm", "--mount", "type=volume,src=sub,dst=/v,volume-subpath=out/etc", busybox, "true"),
    ).toContain("path concatenation escapes the base directory");
    expect(await refusal("run", "--rm", "--mount", "type=bind,src=/no/such,dst=/v", busybox, "true")).toBe(
      'Error response from daemon: invalid mount config for type "bind": bind source path does not exist: /no/such',
    );
    await docker("volume", "rm", "sub");
    await rm(work, { recursive: true });
  });

  it("makes missing directories for -v, not for --mount, and read-only reaches mounts below", async () => {
    const work = await mkdtemp(join(bed.work, "rro-"));
    await sh("true", "-v", `${work}/a/b:/x`);
    expect((await stat(join(work, "a/b"))).isDirectory()).toBe(true);
    await mkdir(join(work, "below"));
    await must(["mount", "-t", "tmpfs", "tmpfs", join(work, "below")]);
    try {
      expect(await sh("touch /x/below/f 2>&1; echo $?", "-v", `${work}:/x:ro`)).toContain("Read-only file system");
      const writable = `type=bind,src=${work},dst=/x,readonly,bind-recursive=writable`;
      expect(await sh("touch /x/below/f; echo $?", "--mount", writable)).toBe("0");
      expect(await sh("ls /x/below", "--mount", `type=bind,src=${work},dst=/x,bind-recursive=disabled`)).toBe("");
      await docker("run", "--rm", "-v", `${work}:/x:shared`, busybox, "true").catch(() => "");
    } finally {
      await must(["umount", join(work, "below")]);
    }
    await rm(work, { recursive: true });
  });
});

it("tells of volumes in events", async () => {
  const since = (await must(["date", "+%s.%N"])).trim();
  await docker("run", "--name", "told", "-v", "told:/x:ro", busybox, "true");
  const id = await docker("inspect", "-f", "{{.Id}}", "told");
  await docker("rm", "told");
  await docker("volume", "rm", "told");
  const until = (await must(["date", "+%s.%N"])).trim();
  const lines = (
    await docker("events", "--since", since, "--until", until, "--filter", "type=volume", "--format", "json")
  )
    .split("\n")
    .map((line) => JSON.parse(line) as { Action: string; Actor: { ID: string; Attributes: object } });
  expect(lines.map(({ Action }) => Action)).toEqual(["create", "mount", "unmount", "destroy"]);
  expect(lines[1]?.Actor).toEqual({
    ID: "told",
    Attributes: { container: id, destination: "/x", driver: "local", propagation: "", "read/write": "false" },
  });
  expect(lines[2]?.Actor.Attributes).toEqual({ container: id, driver: "local" });
});

it("leaves no volume behind when the containers have gone", async () => {
  expect(await docker("volume", "ls", "-q")).toBe("");
  expect(
    (await readFile("/proc/self/mountinfo", "utf8")).split("\n").filter((line) => line.includes(bed.work)),
  ).toEqual([]);
});
