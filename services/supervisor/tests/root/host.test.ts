// HostConfig as a container sees it: groups, devices, shared IPC, links, CDI, limits that are hit.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Node, runToEnd } from "./harness.ts";

let node: Node;
beforeAll(async () => {
  node = await Node.open();
});
afterAll(() => node.close());

const sh = (script: string, config = {}, host = {}) => runToEnd(node, ["sh", "-c", script], config, host);

async function startOf(config: object, host: object, name = "") {
  const { id } = await node.supervisor.create({ name, spec: node.spec(["sleep", "1000"], config, host) });
  await node.supervisor.start({ container: id });
  return id;
}

async function refusal(config: object, host: object): Promise<string> {
  const { id } = await node.supervisor.create({ spec: node.spec(["true"], config, host) });
  const error = await node.supervisor.start({ container: id }).then(
    () => new Error("it started"),
    (thrown: Error) => thrown,
  );
  await node.supervisor.remove({ container: id });
  return error.message;
}

test("groups by name and number, and those that are not there", async () => {
  expect((await sh("id -G", { user: "12:34" }, { groupAdd: ["56", "user"] })).out).toBe("34 56 1000\n");
  expect(await refusal({}, { groupAdd: ["nope"] })).toBe(
    "unable to find group nope: no matching entries in group file",
  );
  expect(await refusal({ user: "nope" }, {})).toBe("unable to find user nope: no matching entries in passwd file");
  expect(await refusal({ user: "-1" }, {})).toBe("uids and gids must be in range 0-2147483647");
});

test("devices can be opened as their permissions say, and no others", async () => {
  const zero = { pathOnHost: "/dev/zero", pathInContainer: "/dev/zz", cgroupPermissions: "r" };
  const readable = await sh(
    "head -c1 /dev/zz | wc -c; mknod /dev/k c 10 237 && : < /dev/k",
    {},
    {
      resources: { devices: [zero] },
    },
  );
  expect(readable.out).toBe("1\n");
  expect(readable.err).toMatch(/\/dev\/k: Operation not permitted/);
  const ruled = await sh(
    "mknod /dev/k c 10 237 && : < /dev/k && echo opened",
    {},
    {
      resources: { deviceCgroupRules: ["c 10:237 r"] },
    },
  );
  expect(ruled.out).toBe("opened\n");
  expect(await refusal({}, { resources: { devices: [{ ...zero, pathOnHost: "/dev/nope" }] } })).toBe(
    'error gathering device information while adding custom device "/dev/nope": no such file or directory',
  );
});

test("shared IPC comes with its /dev/shm; private IPC is not shared", async () => {
  const donor = await startOf({}, { ipcMode: "shareable" });
  expect((await sh("echo here > /dev/shm/file", {}, { ipcMode: `container:${donor}` })).exitCode).toBe(0);
  expect((await sh("cat /dev/shm/file", {}, { ipcMode: `container:${donor}` })).out).toBe("here\n");
  expect((await sh("cat /dev/shm/file")).exitCode).toBe(1);
  // The host sees it while its container runs, whichever supervisor sees the end.
  const onHost = async () => (await readFile("/proc/self/mountinfo", "utf8")).includes(`/${donor}/mounts/shm `);
  expect(await onHost()).toBe(true);
  await node.supervisor.restart({ container: donor, timeout: 0 });
  expect(await onHost()).toBe(true);
  expect((await sh("cat /dev/shm/file", {}, { ipcMode: `container:${donor}` })).exitCode).toBe(1);
  await node.end("supervisor", "SIGKILL");
  node.startService("supervisor");
  await node.serving();
  expect(await onHost()).toBe(true);
  await node.supervisor.remove({ container: donor, force: true });
  expect(await onHost()).toBe(false);
  const closed = await startOf({}, {});
  expect(await refusal({}, { ipcMode: `container:${closed}` })).toMatch(/non-shareable IPC/);
  await node.supervisor.remove({ container: closed, force: true });
});

test("links: variables, /etc/hosts, names, and their end", async () => {
  const bridge = { networkMode: "bridge" };
  await startOf({ exposedPorts: ["80/tcp"], env: ["K=v"] }, bridge, "linked");
  const { out } = await sh(
    "env | grep ^DB_ | sort | head -3; grep linked /etc/hosts; ping -c1 -W2 db | tail -2 | head -1",
    {},
    {
      ...bridge,
      links: ["linked:db"],
    },
  );
  expect(out).toMatch(
    /^DB_ENV_K=v\nDB_NAME=\/[a-z0-9_]+\/db\nDB_PORT=tcp:\/\/172\.\d+\.0\.\d+:80\n172\.\d+\.0\.\d+\tdb [0-9a-f]{12} linked\n1 packets transmitted, 1 packets received/,
  );
  await startOf({}, { ...bridge, links: ["linked:db"] }, "parent");
  const shown = async (name: string) => (await node.supervisor.inspect({ container: name })).container;
  expect((await shown("parent"))?.spec?.hostConfig?.links).toEqual(["/linked:/parent/db"]);
  expect((await shown("linked"))?.linkNames).toEqual(["parent/db"]);
  await node.supervisor.remove({ container: "parent/db", link: true });
  expect((await shown("parent"))?.spec?.hostConfig?.links).toEqual([]);
  await node.supervisor.remove({ container: "parent", force: true });
  await node.supervisor.stop({ container: "linked", timeout: 0 });
  expect(await refusal({}, { ...bridge, links: ["linked:db"] })).toMatch(
    /^Cannot link to a non running container: \/linked AS \/[a-z0-9_]+\/db$/,
  );
  await node.supervisor.remove({ container: "linked" });
});

test("a CDI device: variable, node, mount and hooks", async () => {
  await mkdir(join(node.work, "cdi"), { recursive: true });
  const trace = join(node.work, "hooks");
  const hook = (hookName: string) => ({
    hookName,
    path: "/bin/sh",
    args: ["sh", "-c", `echo ${hookName} >> ${trace}`],
  });
  const spec = {
    cdiVersion: "0.6.0",
    kind: "berth.test/thing",
    devices: [
      {
        name: "one",
        containerEdits: {
          env: ["THING=one"],
          deviceNodes: [{ path: "/dev/thing", hostPath: "/dev/zero" }],
          mounts: [{ hostPath: node.work, containerPath: "/thing", options: ["bind", "ro"] }],
          hooks: ["createRuntime", "createContainer", "poststart", "poststop"].map(hook),
        },
      },
    ],
  };
  await writeFile(join(node.work, "cdi/thing.json"), JSON.stringify(spec));
  const device = { driver: "cdi", count: 0, deviceIds: ["berth.test/thing=one"], capabilities: [], options: {} };
  const { out } = await sh(
    "echo $THING; head -c1 /dev/thing | wc -c; cat /thing/hooks",
    {},
    {
      resources: { deviceRequests: [device] },
    },
  );
  expect(out).toMatch(/^one\n1\ncreateRuntime\ncreateContainer\n/);
  expect((await sh(`cat ${trace}`, {}, { binds: [`${node.work}:${node.work}`] })).out).toBe(
    "createRuntime\ncreateContainer\npoststart\npoststop\n",
  );
});

test("a limit of processes is hit", async () => {
  const { out, err } = await sh(
    "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo $?",
    {},
    {
      resources: { pidsLimit: 4 },
    },
  );
  expect(`${out}${err}`).toMatch(/can't fork|Resource temporarily unavailable/);
});

test("security options: writable cgroups, no new privileges by word, a broken profile at start", async () => {
  const write = "mkdir /sys/fs/cgroup/pids/sub && echo made";
  expect((await sh(write)).out).toBe("");
  expect((await sh(write, {}, { securityOpt: ["writable-cgroups=true"] })).out).toBe("made\n");
  expect((await sh("grep NoNewPrivs /proc/self/status", {}, { securityOpt: ["no-new-privileges=1"] })).out).toMatch(
    /\t1\n/,
  );
  expect(await refusal({}, { securityOpt: ["seccomp={"] })).toBe(
    "Decoding seccomp profile failed: unexpected end of JSON input",
  );
});
