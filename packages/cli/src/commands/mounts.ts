import { resolve } from "node:path";
import { UsageError } from "../flags.ts";
import { parseBytes } from "../output/human.ts";

type Json = Record<string, unknown>;

/** "type=bind,src=/a,dst=/b,readonly" as the API's mount. @throws UsageError */
export function mountOf(text: string): Json {
  const fields = new Map(
    text.split(",").map((part) => part.split(/=(.*)/s).slice(0, 2) as [string, string | undefined]),
  );
  const take = (...names: string[]): string | undefined => {
    for (const name of names) {
      if (!fields.has(name)) continue;
      const value = fields.get(name) ?? "true";
      fields.delete(name);
      return value;
    }
    return undefined;
  };
  const type = take("type") ?? "volume";
  const source = take("source", "src") ?? "";
  const mount: Json = {
    Type: type,
    Source: type === "bind" && source.startsWith(".") ? resolve(source) : source,
    Target: take("target", "dst", "destination") ?? "",
    ReadOnly: ["true", "1"].includes(take("readonly", "ro") ?? "false"),
  };
  const propagation = take("bind-propagation");
  if (propagation !== undefined) mount["BindOptions"] = { Propagation: propagation };
  const noCopy = take("volume-nocopy");
  if (noCopy !== undefined) mount["VolumeOptions"] = { NoCopy: noCopy !== "false" };
  const size = take("tmpfs-size");
  const mode = take("tmpfs-mode");
  if (size !== undefined || mode !== undefined) {
    mount["TmpfsOptions"] = { SizeBytes: parseBytes(size ?? "0") ?? 0, Mode: Number.parseInt(mode ?? "0", 8) };
  }
  const [unknown] = fields.keys();
  if (unknown !== undefined)
    throw new UsageError(`invalid argument "${text}" for "--mount": unexpected key "${unknown}"`);
  if (mount["Target"] === "") throw new UsageError(`invalid argument "${text}" for "--mount": target is required`);
  return mount;
}
