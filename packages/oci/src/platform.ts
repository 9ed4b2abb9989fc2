import { BerthError } from "@berth/errors";

export interface Platform {
  os: string;
  architecture: string;
  variant?: string;
  osVersion?: string;
}

const architectures: Record<string, { architecture: string; variant?: string }> = {
  x86_64: { architecture: "amd64" },
  "x86-64": { architecture: "amd64" },
  x64: { architecture: "amd64" },
  i386: { architecture: "386" },
  i686: { architecture: "386" },
  ia32: { architecture: "386" },
  aarch64: { architecture: "arm64" },
  armhf: { architecture: "arm", variant: "v7" },
  armel: { architecture: "arm", variant: "v6" },
  loong64: { architecture: "loong64" },
};

/** Node's names for what it runs on, as Go (and so every image) calls them. */
export function hostPlatform(arch: string = process.arch): Platform {
  if (arch === "arm") return { os: "linux", architecture: "arm", variant: "v7" };
  return normalizePlatform({ os: "linux", architecture: arch });
}

/** Folds spellings together: aarch64 is arm64, arm64/v8 is arm64, amd64/v1 is amd64, arm alone is arm/v7. */
export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase() || "linux";
  const wanted = platform.architecture.toLowerCase();
  const known = architectures[wanted];
  const architecture = known?.architecture ?? wanted;
  const variant = plainVariant(architecture, (platform.variant?.toLowerCase() || known?.variant) ?? "");
  const result: Platform = { os: os === "macos" ? "darwin" : os, architecture };
  if (variant !== "") result.variant = variant;
  if (platform.osVersion) result.osVersion = platform.osVersion;
  return result;
}

function plainVariant(architecture: string, variant: string): string {
  const dotted = /^[0-9]/.test(variant) ? `v${variant}` : variant;
  if (architecture === "arm64") return dotted === "v8" || dotted === "v8.0" ? "" : dotted;
  if (architecture === "arm") return dotted === "" ? "v7" : dotted;
  if (architecture === "amd64") return dotted === "v1" ? "" : dotted;
  return dotted;
}

/**
 * Reads "os[/arch[/variant]]" or an architecture alone.
 * @throws INVALID_ARGUMENT
 */
export function parsePlatform(text: string): Platform {
  const parts = text.split("/");
  const [first = "", second, third] = parts;
  if (text.length > 128 || parts.length > 3 || parts.some((part) => !/^[A-Za-z0-9_.-]+$/.test(part))) {
    throw unparsable(text, parts);
  }
  if (second !== undefined) {
    return normalizePlatform({ os: first, architecture: second, ...(third === undefined ? {} : { variant: third }) });
  }
  const systems = ["linux", "windows", "darwin", "macos", "freebsd", "openbsd", "netbsd", "solaris", "wasip1"];
  if (systems.includes(first.toLowerCase())) {
    return normalizePlatform({ ...hostPlatform(), os: first });
  }
  if (!knownArchitectures.has(first.toLowerCase())) throw refused(text, "unknown operating system or architecture");
  return normalizePlatform({ os: "linux", architecture: first });
}

/** Go's, and the other names that {@link normalizePlatform} knows them by. */
const knownArchitectures = new Set(
  (
    "386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le ppc ppc64 " +
    "ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm i386 x86_64 x86-64 aarch64 armhf armel"
  ).split(" "),
);

/** containerd's texts, which are Docker's. */
function unparsable(text: string, parts: readonly string[]): BerthError {
  const [os = ""] = parts;
  const strange = parts.find((part) => !/^[A-Za-z0-9_.-]+$/.test(part));
  if (strange === os) {
    return new BerthError(
      "INVALID_ARGUMENT",
      `${JSON.stringify(os.slice(0, 128))} is an invalid OS component of ${JSON.stringify(text.slice(0, 128))}: OSAndVersion specifier component must match "^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.%-]*)((?:\\\\+[A-Za-z0-9_.%-]+)*)\\\\))?$": invalid argument`,
    );
  }
  if (strange === undefined) return refused(text, "cannot parse platform specifier");
  const name = strange.slice(0, 128);
  return new BerthError(
    "INVALID_ARGUMENT",
    `${JSON.stringify(name)} is an invalid component of ${JSON.stringify(text.slice(0, 128))}: platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument`,
  );
}

const refused = (text: string, why: string): BerthError =>
  new BerthError("INVALID_ARGUMENT", `${JSON.stringify(text.slice(0, 128))}: ${why}: invalid argument`);

/** "linux/arm/v7" */
export function formatPlatform(platform: Platform): string {
  const parts = [platform.os || "unknown", platform.architecture || "unknown"];
  if (platform.variant) parts.push(platform.variant);
  return parts.join("/");
}

/** How well something runs on `host`: 0 exactly its own, more is further off, undefined not at all. */
function distance(host: Platform, candidate: Platform): number | undefined {
  if (host.os !== candidate.os) return undefined;
  const hostVariant = rank(host);
  const variant = rank(candidate);
  if (host.architecture === candidate.architecture) {
    if (hostVariant === undefined || variant === undefined) return host.variant === candidate.variant ? 0 : undefined;
    return variant <= hostVariant ? hostVariant - variant : undefined;
  }
  // 64-bit processors that run their 32-bit ancestor's programs; only ever second best.
  if (host.architecture === "arm64" && candidate.architecture === "arm") {
    return variant !== undefined && variant <= 8 ? 100 + 8 - variant : undefined;
  }
  if (host.architecture === "amd64" && candidate.architecture === "386") return 200;
  return undefined;
}

/** A variant as a number; later ones run what earlier ones run. undefined: cannot be ordered. */
function rank(platform: Platform): number | undefined {
  const plain = platform.architecture === "arm64" ? 8 : 1;
  if (!platform.variant) return plain;
  const version = /^v([0-9]+(?:\.[0-9]+)?)$/.exec(platform.variant)?.[1];
  return version === undefined ? undefined : Number(version);
}

/** True when what was made for `candidate` satisfies a wish for `wanted`, allowing older variants. */
export function matchesPlatform(wanted: Platform, candidate: Platform): boolean {
  const best = distance(normalizePlatform(wanted), normalizePlatform(candidate));
  return best !== undefined && best < 100;
}

/**
 * The entry of an index that suits `wanted` best; among equals the first, as Docker does.
 * @param allowCompat also take 32-bit programs for a 64-bit processor (right when the user named no platform)
 */
export function selectPlatform<T extends { platform?: Platform }>(
  entries: readonly T[],
  wanted: Platform,
  allowCompat = false,
): T | undefined {
  const host = normalizePlatform(wanted);
  let best: { entry: T; distance: number } | undefined;
  for (const entry of entries) {
    if (entry.platform === undefined) continue;
    const far = distance(host, normalizePlatform(entry.platform));
    if (far === undefined || (!allowCompat && far >= 100)) continue;
    if (best === undefined || far < best.distance) best = { entry, distance: far };
  }
  return best?.entry;
}
