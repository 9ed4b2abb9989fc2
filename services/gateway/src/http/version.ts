/** Engine API versions, written "1.24" and kept as their minor number: every version since 1.0 is 1.x. */
export const minVersion = 24;
const maxVersion = 51;

/** What a path asks for: "/v1.41/info" is "/info" in the shape of 1.41. */
export interface Versioned {
  path: string;
  /** The newest where the path names none. */
  minor: number;
  /** Set when this engine does not speak the version asked for. */
  refused: { reason: "too-old" | "too-new"; version: string } | undefined;
}

const versioned = /^\/v([0-9.]+)(\/.*)$/;

export function splitVersion(path: string): Versioned {
  const match = versioned.exec(path);
  if (match === null) return { path, minor: maxVersion, refused: undefined };
  const [, version = "", rest = "/"] = match;
  const parts = version.split(".").map(Number);
  const [, minor = 0] = parts;
  if (compare(parts, [1, minVersion]) < 0) return { path: rest, minor, refused: { reason: "too-old", version } };
  if (compare(parts, [1, maxVersion]) > 0) return { path: rest, minor, refused: { reason: "too-new", version } };
  return { path: rest, minor, refused: undefined };
}

/** "1.51.1" comes after "1.51", which is the same as "1.51.0". */
function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export const maxVersionText = `1.${maxVersion}`;
export const minVersionText = `1.${minVersion}`;

/** The version of Docker whose Engine API this is; clients that compare engine versions read it. */
export const dockerVersion = "28.5.2";
export const berthVersion = "0.1.0";
