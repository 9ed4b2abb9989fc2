import { resolve } from "node:path";
import { UsageError } from "../flags.ts";
import { parseBytes } from "../output/human.ts";

type Json = Record<string, unknown>;
type Wrong = (why: string) => UsageError;

interface Draft {
  type: string;
  source: string;
  target: string;
  readOnly: boolean;
  consistency: string | undefined;
  bind: Json;
  volume: Json;
  driver: { Name?: string; Options?: Record<string, string> };
  image: Json;
  tmpfs: Json;
  recursive: string;
}

/** "type=bind,src=/a,dst=/b,readonly" as the API's mount; fields may be in double quotes. @throws UsageError */
export function mountOf(text: string): Json {
  const wrong: Wrong = (why) => new UsageError(`invalid argument "${text}" for "--mount": ${why}`);
  const draft: Draft = {
    type: "volume",
    source: "",
    target: "",
    readOnly: false,
    consistency: undefined,
    bind: {},
    volume: {},
    driver: {},
    image: {},
    tmpfs: {},
    recursive: "",
  };
  for (const field of fieldsOf(text, wrong)) {
    const [key = "", value] = field.split(/=(.*)/s);
    const set = Object.hasOwn(setters, key.toLowerCase()) ? setters[key.toLowerCase()] : undefined;
    if (set === undefined) throw wrong(`unexpected key "${key}" in "${field}"`);
    if (value === undefined && !flags.includes(key.toLowerCase()))
      throw wrong(`invalid field "${field}" must be a key=value pair`);
    set(draft, value ?? "true", wrong);
  }
  return finish(draft, wrong);
}

/** Those that may stand alone. */
const flags = ["readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src"];

const setters: Record<string, (draft: Draft, value: string, wrong: Wrong) => void> = {
  type: (draft, value) => {
    draft.type = value.toLowerCase();
  },
  source: (draft, value) => {
    draft.source = value;
  },
  target: (draft, value) => {
    draft.target = value;
  },
  readonly: (draft, value, wrong) => {
    draft.readOnly = flag("readonly", value, wrong);
  },
  consistency: (draft, value) => {
    draft.consistency = value.toLowerCase();
  },
  "bind-propagation": (draft, value) => {
    draft.bind["Propagation"] = value.toLowerCase();
  },
  "bind-nonrecursive": (draft, value, wrong) => {
    draft.bind["NonRecursive"] = flag("bind-nonrecursive", value, wrong);
  },
  "bind-recursive": (draft, value) => {
    draft.recursive = value;
  },
  "bind-create-src": (draft, value, wrong) => {
    draft.bind["CreateMountpoint"] = flag("bind-create-src", value, wrong);
  },
  "volume-subpath": (draft, value) => {
    draft.volume["Subpath"] = value;
  },
  "volume-nocopy": (draft, value, wrong) => {
    draft.volume["NoCopy"] = flag("volume-nocopy", value, wrong);
  },
  "volume-label": (draft, value) => {
    draft.volume["Labels"] = { ...(draft.volume["Labels"] as object | undefined), ...pair(value) };
  },
  "volume-driver": (draft, value) => {
    draft.driver.Name = value;
  },
  "volume-opt": (draft, value) => {
    draft.driver.Options = { ...draft.driver.Options, ...pair(value) };
  },
  "image-subpath": (draft, value) => {
    draft.image["Subpath"] = value;
  },
  "tmpfs-size": (draft, value, wrong) => {
    const size = parseBytes(value);
    if (size === undefined) throw wrong(`invalid value for tmpfs-size: ${value}`);
    draft.tmpfs["SizeBytes"] = size;
  },
  "tmpfs-mode": (draft, value, wrong) => {
    if (!/^[0-7]{1,6}$/.test(value)) throw wrong(`invalid value for tmpfs-mode: ${value}`);
    draft.tmpfs["Mode"] = Number.parseInt(value, 8);
  },
};
for (const [name, same] of [
  ["src", "source"],
  ["dst", "target"],
  ["destination", "target"],
  ["ro", "readonly"],
] as const) {
  setters[name] = setters[same] as (typeof setters)[string];
}

function flag(key: string, value: string, wrong: Wrong): boolean {
  if (["1", "t", "T", "true", "True", "TRUE"].includes(value)) return true;
  if (["0", "f", "F", "false", "False", "FALSE"].includes(value)) return false;
  throw wrong(`invalid value for ${key}: ${value}`);
}

function pair(text: string): Record<string, string> {
  const [key = "", value = ""] = text.split(/=(.*)/s);
  return { [key]: value };
}

/** Comma-separated values: a field in double quotes may hold commas, and doubled quotes. */
function fieldsOf(text: string, wrong: Wrong): string[] {
  const fields: string[] = [];
  for (let rest = text; ; ) {
    const quoted = /^"((?:[^"]|"")*)"(,|$)/s.exec(rest);
    const match = quoted ?? /^([^,"]*)(,|$)/s.exec(rest);
    if (match === null) throw wrong("quotes must enclose a whole field");
    fields.push((match[1] ?? "").replaceAll('""', '"'));
    if (match[2] === "") return fields;
    rest = rest.slice(match[0].length);
  }
}

function finish(draft: Draft, wrong: Wrong): Json {
  const { type, target, source, readOnly, bind, volume, image, tmpfs, driver } = draft;
  if (target === "") throw wrong("target is required");
  setRecursion(draft, wrong);
  if (Object.keys(driver).length > 0) volume["DriverConfig"] = driver;
  const options: [string, string, Json][] = [
    ["bind", "BindOptions", bind],
    ["volume", "VolumeOptions", volume],
    ["image", "ImageOptions", image],
    ["tmpfs", "TmpfsOptions", tmpfs],
  ];
  const mount: Json = {
    Type: type,
    Source: type === "bind" && /^\.{1,2}(\/|$)/.test(source) ? resolve(source) : source,
    Target: target,
    ReadOnly: readOnly,
    ...(draft.consistency === undefined ? {} : { Consistency: draft.consistency }),
  };
  for (const [kind, name, fields] of options) {
    if (Object.keys(fields).length === 0) continue;
    if (kind !== type) throw wrong(`cannot mix '${kind}-*' options with mount type '${type}'`);
    mount[name] = fields;
  }
  return mount;
}

function setRecursion({ recursive, readOnly, bind }: Draft, wrong: Wrong): void {
  switch (recursive) {
    case "":
    case "enabled":
      return;
    case "disabled":
      bind["NonRecursive"] = true;
      return;
    case "writable":
      bind["ReadOnlyNonRecursive"] = true;
      break;
    case "readonly":
      bind["ReadOnlyForceRecursive"] = true;
      // What the tree below holds must not come to it from outside, or it would not stay read-only.
      if (bind["Propagation"] !== "rprivate") {
        throw wrong(
          "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
        );
      }
      break;
    default:
      throw wrong(
        `invalid value for bind-recursive: ${recursive} (must be "enabled", "disabled", "writable", or "readonly")`,
      );
  }
  if (!readOnly) {
    throw wrong(`option 'bind-recursive=${recursive}' requires 'readonly' to be specified in conjunction`);
  }
}
