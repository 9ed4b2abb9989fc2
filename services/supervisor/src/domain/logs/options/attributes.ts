import { hostname } from "node:os";
import { errorMessage } from "@berth/errors";
import type { ContainerRecord } from "../../model.ts";
import { compilePattern } from "../../pattern.ts";
import { renderTag, type TemplateData } from "./template.ts";
import { LogOptionError } from "./values.ts";

/** Docker's default tag. */
const defaultTag = "{{.ID}}";

/** What log drivers and tags may tell of a container. */
function tagData({ id, name, spec, path, args, created }: ContainerRecord): TemplateData {
  const { config, imageId, hostConfig } = spec;
  return {
    ID: id.slice(0, 12),
    FullID: id,
    Name: name,
    ImageID: imageId.slice(0, 12),
    ImageFullID: imageId,
    ImageName: config.image,
    Hostname: hostname(),
    Command: [path, ...args].join(" "),
    ContainerID: id,
    ContainerName: `/${name}`,
    ContainerEntrypoint: path,
    ContainerArgs: args,
    ContainerImageID: imageId,
    ContainerImageName: config.image,
    ContainerCreated: created,
    ContainerEnv: config.env,
    ContainerLabels: config.labels,
    Config: hostConfig.logConfig.config,
    LogPath: "",
    DaemonName: "docker",
  };
}

/** The container's tag. @throws LogOptionError */
export function tagOf(record: ContainerRecord, template?: string): string {
  const wanted = template ?? (record.spec.hostConfig.logConfig.config["tag"] || defaultTag);
  return renderTag(wanted, tagData(record));
}

/** Labels and variables that the options labels, labels-regex, env, env-regex name. @throws LogOptionError */
export function extraAttributes(
  { spec }: ContainerRecord,
  rename: (key: string) => string = (key) => key,
): Record<string, string> {
  const { config: options } = spec.hostConfig.logConfig;
  const environment: Record<string, string> = Object.create(null);
  for (const variable of spec.config.env) {
    const equals = variable.indexOf("=");
    if (equals >= 0) environment[variable.slice(0, equals)] = variable.slice(equals + 1);
  }
  const extra: Record<string, string> = Object.create(null);
  const add = (source: Readonly<Record<string, string>>, names: string, pattern: string) => {
    for (const name of names === "" ? [] : names.split(","))
      if (Object.hasOwn(source, name)) extra[rename(name)] = source[name] ?? "";
    if (pattern === "") return;
    const matches = compile(pattern);
    for (const [name, value] of Object.entries(source)) if (matches(name)) extra[rename(name)] = value;
  };
  add(spec.config.labels, options["labels"] ?? "", options["labels-regex"] ?? "");
  add({ ...environment }, options["env"] ?? "", options["env-regex"] ?? "");
  return { ...extra };
}

function compile(pattern: string): (text: string) => boolean {
  try {
    return compilePattern(pattern);
  } catch (error) {
    throw new LogOptionError(errorMessage(error));
  }
}

/** A json-file record's `attrs`: what is asked for, and the tag if one is. @throws LogOptionError */
export function jsonAttributes(record: ContainerRecord): string {
  const extra = extraAttributes(record);
  if (record.spec.hostConfig.logConfig.config["tag"]) extra["tag"] = tagOf(record);
  const keys = Object.keys(extra).sort();
  if (keys.length === 0) return "";
  const text = JSON.stringify(Object.fromEntries(keys.map((key) => [key, extra[key]])));
  if (Buffer.byteLength(text) > 64 * 1024) throw new LogOptionError("the log's attributes are longer than 64 KiB");
  return text;
}
