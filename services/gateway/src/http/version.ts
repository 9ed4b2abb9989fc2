/** Engine API versions, written "1.24" and kept as their minor number: every version since 1.0 is 1.x. */
export const minVersion = 24;
export const maxVersion = 51;

export type VersionCheck =
  | { ok: true; minor: number; path: string }
  | { ok: false; reason: "too-old" | "too-new"; version: string };

const versioned = /^\/v([0-9]+(?:\.[0-9]+)*)(\/.*)$/;

/** Splits "/v1.41/info" into the version it asks for and "/info". A path without a version asks for the newest. */
export function splitVersion(path: string): VersionCheck {
  const match = versioned.exec(path);
  if (match === null) return { ok: true, minor: maxVersion, path };
  const [, version = "", rest = "/"] = match;
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < 1 || (major === 1 && minor < minVersion)) return { ok: false, reason: "too-old", version };
  if (major > 1 || minor > maxVersion) return { ok: false, reason: "too-new", version };
  return { ok: true, minor, path: rest };
}

export const maxVersionText = `1.${maxVersion}`;
export const minVersionText = `1.${minVersion}`;

/** The version of Docker whose Engine API this is; clients that compare engine versions read it. */
export const dockerVersion = "28.5.2";
export const berthVersion = "0.1.0";
