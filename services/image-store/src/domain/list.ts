import { BerthError } from "@berth/errors";
import { matchReference } from "@berth/oci";
import type { Catalog } from "./catalog.ts";
import type { ImageRecord } from "./records.ts";

export type Filters = ReadonlyMap<string, readonly string[]>;
type Test = (image: ImageRecord) => boolean;

const known = new Set(["reference", "dangling", "label", "before", "since", "until"]);

/**
 * Images for `docker images`, newest first.
 * @param all also those that are only steps of a build
 * @throws INVALID_ARGUMENT for an unknown filter or a bad value; NO_SUCH_IMAGE for before/since an image that is not there
 */
export function listImages(catalog: Catalog, filters: Filters, all: boolean, now = Date.now()): ImageRecord[] {
  const tests = [...filters].flatMap(([name, values]) => makeTests(catalog, name, values, now));
  const parents = new Set([...catalog.images()].map((image) => image.parent));
  return [...catalog.images()]
    .filter((image) => all || !parents.has(image.id) || isNamed(catalog, image))
    .filter((image) => tests.every((test) => test(image)))
    .sort((a, b) => createdAt(b) - createdAt(a) || (a.id < b.id ? -1 : 1));
}

function makeTests(catalog: Catalog, name: string, values: readonly string[], now: number): Test[] {
  if (!known.has(name)) throw invalidFilter(name);
  switch (name) {
    case "reference": {
      // A malformed pattern fails even when there is nothing to match.
      for (const value of values) matchReference(value, { domain: "docker.io", path: "library/x" });
      return [(image) => catalog.namesOf(image.id).some((ref) => values.some((value) => matchReference(value, ref)))];
    }
    case "dangling": {
      const wanted = oneBoolean(name, values);
      // A digest alone is no name that anybody would call it by, but one that somebody may have asked for.
      return [(image) => (wanted ? !hasTag(catalog, image) : isNamed(catalog, image))];
    }
    case "label":
      return values.map((value) => labelTest(value));
    case "before":
      return values.map((value) => before(createdAt(catalog.resolve(value))));
    case "since":
      return values.map((value) => since(createdAt(catalog.resolve(value))));
    default:
      return values.map((value) => before(parseTime(value, now)));
  }
}

function isNamed(catalog: Catalog, image: ImageRecord): boolean {
  return catalog.namesOf(image.id).length > 0;
}

function hasTag(catalog: Catalog, image: ImageRecord): boolean {
  return catalog.namesOf(image.id).some(({ tag }) => tag !== undefined);
}

/** No tag and no child. Docker counts an image that only a digest names as not dangling. */
export function isDangling(catalog: Catalog, image: ImageRecord): boolean {
  return !isNamed(catalog, image) && catalog.childrenOf(image.id).length === 0;
}

function before(limit: number): Test {
  return (image) => createdAt(image) < limit;
}

function since(limit: number): Test {
  return (image) => createdAt(image) > limit;
}

function labelTest(value: string): Test {
  const equals = value.indexOf("=");
  if (equals === -1) return (image) => Object.hasOwn(image.labels, value);
  const key = value.slice(0, equals);
  return (image) => Object.hasOwn(image.labels, key) && image.labels[key] === value.slice(equals + 1);
}

/** ms since epoch, with the fraction that the image has; an image without a date is older than all others. */
export function createdAt(image: ImageRecord): number {
  const time = Date.parse(image.created);
  if (Number.isNaN(time)) return Number.NEGATIVE_INFINITY;
  const beyond = /\.[0-9]{3}([0-9]{1,6})/.exec(image.created)?.[1] ?? "";
  return time + Number(beyond.padEnd(6, "0")) / 1e6;
}

function oneBoolean(name: string, values: readonly string[]): boolean {
  const [value = "", ...others] = values;
  if (others.length === 0 && ["true", "1", "t", "T", "TRUE", "True"].includes(value)) return true;
  if (others.length === 0 && ["false", "0", "f", "F", "FALSE", "False"].includes(value)) return false;
  throw new BerthError("INVALID_ARGUMENT", `invalid filter '${name}=[${values.join(" ")}]'`);
}

const unitSeconds: Record<string, number> = { ns: 1e-9, us: 1e-6, µs: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 };

/** A date, seconds since epoch, or how long ago ("1h30m"). ms since epoch */
function parseTime(text: string, now: number): number {
  if (/^[0-9]+(?:\.[0-9]+)?$/.test(text)) return Number(text) * 1000;
  if (/^(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) {
    const parts = text.matchAll(/([0-9.]+)(ns|us|µs|ms|s|m|h)/g);
    const seconds = [...parts].reduce(
      (total, [, number, unit = ""]) => total + Number(number) * (unitSeconds[unit] ?? 0),
      0,
    );
    return now - seconds * 1000;
  }
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new BerthError("INVALID_ARGUMENT", `invalid filter 'until=${text.slice(0, 100)}'`);
  return time;
}

function invalidFilter(name: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", `invalid filter '${name.slice(0, 100)}'`);
}
