import { BerthError } from "@berth/errors";
import { type Digest, isDigest, parseDigest } from "./digest.ts";

/**
 * An image's name, whole: "docker.io/library/busybox:latest" is { domain: "docker.io", path: "library/busybox", tag:
 * "latest" }. The grammar, the short forms and the texts of the errors are those of the distribution project's
 * reference package, since people know them from Docker.
 */
export interface Reference {
  domain: string;
  path: string;
  tag?: string;
  digest?: Digest;
}

const defaultDomain = "docker.io";
const legacyDomain = "index.docker.io";
const officialPrefix = "library/";

const pathComponent = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const repositoryPath = `${pathComponent}(?:/${pathComponent})*`;
const domainComponent = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const domain = `(?:${domainComponent}(?:\\.${domainComponent})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const tag = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
const digest = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}";
const name = `(?:${domain}/)?${repositoryPath}`;
const whole = new RegExp(`^(${name})(?::(${tag}))?(?:@(${digest}))?$`);
const nameParts = new RegExp(`^(?:(${domain})/)?(${repositoryPath})$`);

/** characters in a repository's path; the grammar's own bound. */
const maxPath = 255;
/** Longest text looked at: domain, path, tag and a sha512, with room. Keeps the expressions above cheap. */
const maxText = 1024;

/**
 * Reads a name as a person types it: "busybox", "me/app:1", "localhost:5000/app@sha256:…".
 * @throws INVALID_ARGUMENT with Docker's text
 */
export function parseReference(text: string): Reference {
  if (/^[a-f0-9]{64}$/.test(text)) {
    throw invalid(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  const [host, rest] = splitDomain(text);
  const colon = rest.indexOf(":");
  const repository = colon === -1 ? rest : rest.slice(0, colon);
  if (repository.toLowerCase() !== repository) {
    throw invalid(`invalid reference format: repository name (${repository.slice(0, maxText)}) must be lowercase`);
  }
  return parseWhole(`${host}/${rest}`);
}

/** As {@link parseReference}, and also takes an image id or digest. */
export function parseAnyReference(text: string): Reference | { digest: Digest } {
  if (/^[a-f0-9]{64}$/.test(text)) return { digest: `sha256:${text}` };
  if (isDigest(text)) return { digest: text };
  return parseReference(text);
}

function parseWhole(text: string): Reference {
  if (text.length > maxText) throw invalid("invalid reference format");
  const match = whole.exec(text);
  if (match === null) {
    if (text === "") throw invalid("repository name must have at least one component");
    if (whole.test(text.toLowerCase())) throw invalid("invalid reference format: repository name must be lowercase");
    throw invalid("invalid reference format");
  }
  const parts = nameParts.exec(match[1] ?? "");
  const path = parts?.[2] ?? match[1] ?? "";
  if (path.length > maxPath) throw invalid(`repository name must not be more than ${maxPath} characters`);
  const reference: Reference = { domain: parts?.[1] ?? "", path };
  if (match[2] !== undefined) reference.tag = match[2];
  if (match[3] !== undefined) {
    parseDigest(match[3]);
    reference.digest = match[3];
  }
  return reference;
}

/** What stands before the first slash is a domain only when it could not be a user's name. */
function splitDomain(text: string): [domain: string, rest: string] {
  const slash = text.indexOf("/");
  if (slash === -1) return [defaultDomain, officialPrefix + text];
  const first = text.slice(0, slash);
  const isDomain = first === "localhost" || /[.:]/.test(first) || first.toLowerCase() !== first;
  const host = !isDomain || first === legacyDomain ? defaultDomain : first;
  const rest = isDomain ? text.slice(slash + 1) : text;
  if (host === defaultDomain && !rest.includes("/")) return [host, officialPrefix + rest];
  return [host, rest];
}

/** The same reference, with "latest" where it has neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  return reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: "latest" } : reference;
}

/** The name without tag and digest, as Docker shows it: "busybox" for docker.io/library/busybox. */
export function familiarName(reference: Reference): string {
  if (reference.domain !== defaultDomain) return `${reference.domain}/${reference.path}`;
  const isOfficial =
    reference.path.startsWith(officialPrefix) && !reference.path.slice(officialPrefix.length).includes("/");
  return isOfficial ? reference.path.slice(officialPrefix.length) : reference.path;
}

/** The reference as Docker shows it: "busybox:latest". */
export function familiarString(reference: Reference | { digest: Digest }): string {
  return "path" in reference ? familiarName(reference) + suffix(reference) : reference.digest;
}

/** The reference in full: "docker.io/library/busybox:latest". */
export function referenceString(reference: Reference): string {
  return `${reference.domain}/${reference.path}${suffix(reference)}`;
}

function suffix(reference: Reference): string {
  return (
    (reference.tag === undefined ? "" : `:${reference.tag}`) +
    (reference.digest === undefined ? "" : `@${reference.digest}`)
  );
}

function invalid(message: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", message);
}
