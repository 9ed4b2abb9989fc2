import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DeviceRequest } from "../src/domain/model.ts";
import { injectEdits, requestedDevices } from "../src/domain/spec/cdi.ts";
import type { OciSpec } from "../src/domain/spec/oci.ts";

const request = (change: Partial<DeviceRequest> = {}): DeviceRequest => ({
  driver: "cdi",
  count: 0,
  deviceIds: [],
  capabilities: [],
  options: {},
  ...change,
});
const config = (): OciSpec => ({
  ociVersion: "1.2.0",
  process: { terminal: false, user: { uid: 0, gid: 0 }, args: ["x"], env: ["A=1"], cwd: "/", noNewPrivileges: false },
  root: { path: "rootfs", readonly: false },
  mounts: [],
  linux: {
    resources: { devices: [] },
    cgroupsPath: "/x",
    namespaces: [],
    devices: [],
    rootfsPropagation: "private",
    maskedPaths: [],
    readonlyPaths: [],
  },
});

let root: string;
let dirs: string[];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sup-cdi-"));
  dirs = [join(root, "etc"), join(root, "run")];
  for (const dir of dirs) await mkdir(dir);
  const gpu = {
    cdiVersion: "0.6.0",
    kind: "vendor1.com/gpu",
    containerEdits: { env: ["ALL=1"] },
    devices: [
      {
        name: "zero",
        containerEdits: {
          env: ["A=2", "NEW=x"],
          deviceNodes: [{ path: "/dev/gpu0", hostPath: "/dev/zero", permissions: "r" }],
          mounts: [{ hostPath: "/usr", containerPath: "/drv", options: ["ro", "bind"] }],
          hooks: [{ hookName: "createContainer", path: "/bin/true", args: ["true", "x"], timeout: 5 }],
          additionalGids: [44],
        },
      },
      { name: "gone", containerEdits: { deviceNodes: [{ path: "/dev/no-such-device" }] } },
    ],
  };
  await writeFile(join(dirs[0] as string, "gpu.json"), JSON.stringify(gpu));
  await writeFile(
    join(dirs[1] as string, "net.yaml"),
    'cdiVersion: "0.5.0"\nkind: vendor2.com/net\ndevices:\n  - name: "1"\n    containerEdits:\n      env: ["NET=1"]\n',
  );
  await writeFile(join(dirs[1] as string, "broken.yaml"), "kind: [");
  await writeFile(join(dirs[1] as string, "other.txt"), "{}");
});
afterAll(() => rm(root, { recursive: true, force: true }));

const edits = (...deviceIds: string[]) => requestedDevices([request({ deviceIds })], dirs);

test("everything that a spec edits goes into the bundle, the spec's own edits once", async () => {
  const spec = config();
  await injectEdits(spec, await edits("vendor1.com/gpu=zero", "vendor2.com/net=1"));
  expect(spec.process.env).toEqual(["A=2", "ALL=1", "NEW=x", "NET=1"]);
  expect(spec.process.user.additionalGids).toEqual([44]);
  expect(spec.linux.devices).toEqual([{ path: "/dev/gpu0", type: "c", major: 1, minor: 5, fileMode: 0o666 }]);
  expect(spec.linux.resources.devices).toEqual([{ allow: true, type: "c", major: 1, minor: 5, access: "r" }]);
  expect(spec.mounts).toEqual([{ destination: "/drv", source: "/usr", type: "bind", options: ["ro", "bind"] }]);
  expect(spec.hooks).toEqual({ createContainer: [{ path: "/bin/true", args: ["true", "x"], timeout: 5 }] });
});

test("what can't be given, in Docker's words", async () => {
  await expect(edits("vendor1.com/gpu=no", "vendor2.com/net=1", "x.y/z=1")).rejects.toThrow(
    "CDI device injection failed: unresolvable CDI devices vendor1.com/gpu=no, x.y/z=1",
  );
  const gpus = request({ driver: "", count: -1, capabilities: [{ names: ["gpu"] }] });
  await expect(requestedDevices([gpus], dirs)).rejects.toThrow(
    'could not select device driver "" with capabilities: [[gpu]]',
  );
  await expect(requestedDevices([request({ driver: "foo" })], dirs)).rejects.toThrow(
    'could not select device driver "foo" with capabilities: []',
  );
  await expect(requestedDevices([request({ count: 1 })], dirs)).rejects.toThrow(
    "unexpected count in CDI device request",
  );
  const missing = await edits("vendor1.com/gpu=gone");
  await expect(injectEdits(config(), missing)).rejects.toThrow('failed to stat CDI host device "/dev/no-such-device"');
  expect(await requestedDevices([request()], [join(root, "no-such-dir")])).toMatchObject({ env: [] });
});
