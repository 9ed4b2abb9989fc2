import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { failed, invalid } from "../errors.ts";
import type { DeviceRequest } from "../model.ts";
import { deviceNumbers } from "./devices.ts";
import { hookNames, type OciHook, type OciHookName, type OciSpec } from "./oci.ts";

/** CDI 1.0 "containerEdits" (cncf-tags.github.io/container-device-interface), checked. */
export interface CdiEdits {
  env: string[];
  deviceNodes: CdiDevice[];
  mounts: { hostPath: string; containerPath: string; type: string; options: string[] }[];
  hooks: { name: OciHookName; hook: OciHook }[];
  additionalGids: number[];
}

interface CdiDevice {
  path: string;
  hostPath: string;
  type: string | undefined;
  major: number | undefined;
  minor: number | undefined;
  fileMode: number | undefined;
  permissions: string;
  uid: number | undefined;
  gid: number | undefined;
}

/** bytes and files: what one directory may make us read. */
const maxSpec = 4 << 20;
const maxFiles = 1024;

type Json = Record<string, unknown>;

/**
 * What --gpus and --device vendor/class=name ask for. Every start reads the specs anew, as drivers write them when they like.
 * Throws INTERNAL, INVALID_ARGUMENT with Docker's texts.
 */
export async function requestedDevices(requests: readonly DeviceRequest[], dirs: readonly string[]): Promise<CdiEdits> {
  const edits = noEdits();
  for (const request of requests) {
    if (request.driver !== "cdi") {
      const sets = request.capabilities.map(({ names }) => `[${names.join(" ")}]`).join(" ");
      throw failed(`could not select device driver "${request.driver}" with capabilities: [${sets}]`);
    }
    if (request.count !== 0) throw invalid("unexpected count in CDI device request");
    if (Object.keys(request.options).length > 0) throw invalid("unexpected options in CDI device request");
    if (request.deviceIds.length > 0) addDevices(edits, request.deviceIds, await readSpecs(dirs));
  }
  return edits;
}

interface CdiSpec {
  kind: string;
  edits: unknown;
  devices: Map<string, unknown>;
}

function addDevices(edits: CdiEdits, names: readonly string[], specs: readonly CdiSpec[]): void {
  const found = names.map((name) => specs.find((spec) => spec.devices.has(name)));
  const missing = names.filter((_, index) => found[index] === undefined);
  if (missing.length > 0) throw failed(`CDI device injection failed: unresolvable CDI devices ${missing.join(", ")}`);
  const whole = new Set<CdiSpec>();
  for (const [index, name] of names.entries()) {
    const spec = found[index] as CdiSpec;
    // The spec's own edits, once however many of its devices there are; then the device's.
    if (!whole.has(spec)) addEdits(edits, spec.edits);
    whole.add(spec);
    addEdits(edits, spec.devices.get(name));
  }
}

/** Specs of all directories, those of later ones first: they take precedence. What is no spec is passed over. */
async function readSpecs(dirs: readonly string[]): Promise<CdiSpec[]> {
  const specs: CdiSpec[] = [];
  for (const dir of [...dirs].reverse()) {
    const names = (await readdir(dir).catch(() => [])).filter((name) => /\.(json|ya?ml)$/.test(name)).sort();
    for (const name of names.slice(0, maxFiles)) {
      const spec = await readSpec(join(dir, name)).catch(() => undefined);
      if (spec !== undefined) specs.push(spec);
    }
  }
  return specs;
}

async function readSpec(path: string): Promise<CdiSpec | undefined> {
  const { size } = await stat(path);
  if (size > maxSpec) return undefined;
  const text = await readFile(path, "utf8");
  const json = (path.endsWith(".json") ? JSON.parse(text) : parse(text, { maxAliasCount: 100 })) as Json | null;
  const kind = json?.["kind"];
  if (typeof kind !== "string" || !/^[A-Za-z][\w.-]*\/[A-Za-z][\w-]*$/.test(kind)) return undefined;
  if (!/^(v)?(0\.[3-9]|1\.)/.test(String(json?.["cdiVersion"] ?? ""))) return undefined;
  const devices = listOf(json?.["devices"]).map((device): [string, unknown] => [
    `${kind}=${textOf(device["name"])}`,
    device["containerEdits"],
  ]);
  return { kind, edits: json?.["containerEdits"], devices: new Map(devices) };
}

const noEdits = (): CdiEdits => ({ env: [], deviceNodes: [], mounts: [], hooks: [], additionalGids: [] });

function addEdits(edits: CdiEdits, value: unknown): void {
  const json = (value ?? {}) as Json;
  edits.env.push(...stringsOf(json["env"]).filter((entry) => entry.includes("=")));
  edits.additionalGids.push(...numbersOf(json["additionalGids"]).filter((gid) => gid !== 0));
  edits.deviceNodes.push(...listOf(json["deviceNodes"]).map(deviceOf));
  for (const mount of listOf(json["mounts"])) {
    edits.mounts.push({
      hostPath: textOf(mount["hostPath"]),
      containerPath: textOf(mount["containerPath"]),
      type: textOf(mount["type"]),
      options: stringsOf(mount["options"]),
    });
  }
  for (const hook of listOf(json["hooks"])) {
    const name = hookNames.find((known) => known === hook["hookName"]);
    if (name !== undefined) edits.hooks.push({ name, hook: hookOf(hook) });
  }
}

function deviceOf(json: Json): CdiDevice {
  const number = (key: string) => (typeof json[key] === "number" ? (json[key] as number) : undefined);
  const path = textOf(json["path"]);
  return {
    path,
    hostPath: textOf(json["hostPath"]) || path,
    type: textOf(json["type"]) || undefined,
    major: number("major"),
    minor: number("minor"),
    fileMode: number("fileMode"),
    permissions: textOf(json["permissions"]) || "rwm",
    uid: number("uid"),
    gid: number("gid"),
  };
}

function hookOf(json: Json): OciHook {
  const timeout = json["timeout"];
  const args = stringsOf(json["args"]);
  return {
    path: textOf(json["path"]),
    ...(args.length > 0 && { args }),
    ...(Array.isArray(json["env"]) && { env: stringsOf(json["env"]) }),
    ...(typeof timeout === "number" && timeout > 0 && { timeout }),
  };
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const listOf = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isObject) : []);
const stringsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === "string") : [];
const numbersOf = (value: unknown): number[] =>
  Array.isArray(value) ? value.filter((entry): entry is number => Number.isInteger(entry)) : [];

/** Puts the edits into a container's config.json. Throws INTERNAL when a device is not on the host. */
export async function injectEdits(config: OciSpec, edits: CdiEdits): Promise<void> {
  for (const entry of edits.env) setVariable(config.process.env, entry);
  for (const device of edits.deviceNodes) await addNode(config, device);
  for (const { hostPath, containerPath, type, options } of edits.mounts) {
    config.mounts = config.mounts.filter(({ destination }) => destination !== containerPath);
    config.mounts.push({ destination: containerPath, source: hostPath, type: type || "bind", options });
  }
  for (const { name, hook } of edits.hooks) {
    config.hooks ??= {};
    config.hooks[name] = [...(config.hooks[name] ?? []), hook];
  }
  if (edits.additionalGids.length > 0) {
    const { user } = config.process;
    user.additionalGids = [...new Set([...(user.additionalGids ?? []), ...edits.additionalGids])];
  }
}

function setVariable(env: string[], entry: string): void {
  const key = entry.slice(0, entry.indexOf("=") + 1);
  const index = env.findIndex((known) => known.startsWith(key));
  if (index >= 0) env[index] = entry;
  else env.push(entry);
}

async function addNode(config: OciSpec, device: CdiDevice): Promise<void> {
  const { type, major, minor, fileMode } = await completed(device);
  config.linux.devices = config.linux.devices.filter(({ path }) => path !== device.path);
  config.linux.devices.push({
    path: device.path,
    type,
    major,
    minor,
    ...(fileMode !== undefined && { fileMode }),
    ...(device.uid !== undefined && { uid: device.uid }),
    ...(device.gid !== undefined && { gid: device.gid }),
  });
  if (type !== "b" && type !== "c") return;
  config.linux.resources.devices ??= [];
  config.linux.resources.devices.push({ allow: true, type, major, minor, access: device.permissions });
}

/** What the spec leaves open the node on the host tells. */
async function completed(device: CdiDevice) {
  const { type, major, minor, fileMode } = device;
  if (type === "p") return { type, major: 0, minor: 0, fileMode };
  if (type !== undefined && major !== undefined && minor !== undefined) return { type, major, minor, fileMode };
  const status = await stat(device.hostPath).catch(() => undefined);
  const found = status?.isBlockDevice() ? "b" : status?.isCharacterDevice() ? "c" : undefined;
  if (status === undefined || found === undefined) {
    throw failed(
      `CDI device injection failed: failed to inject devices: failed to stat CDI host device "${device.hostPath}"`,
    );
  }
  return { type: found, ...deviceNumbers(status.rdev), fileMode: fileMode ?? status.mode & 0o777 };
}
