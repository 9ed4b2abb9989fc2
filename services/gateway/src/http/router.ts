/**
 * Finds the handler for a method and a path. Patterns are "/containers/{name}/start" (one segment, decoded) and
 * "/images/{name...}/json" (any number of segments, since image names have slashes). Fixed paths come out of one map
 * look-up; the others are grouped by method and first segment, a handful each.
 */
export interface Match<H> {
  handler: H;
  /** What stood for {name}, percent-decoded; undefined when the pattern has none. */
  name: string | undefined;
}

interface Pattern<H> {
  prefix: string;
  suffix: string;
  greedy: boolean;
  handler: H;
}

export class Router<H> {
  readonly #fixed = new Map<string, H>();
  readonly #patterns = new Map<string, Pattern<H>[]>();

  add(method: string, path: string, handler: H): void {
    const match = /^([^{]*)\{[a-z]+(\.\.\.)?\}(.*)$/.exec(path);
    if (match === null) {
      this.#fixed.set(`${method} ${path}`, handler);
      return;
    }
    const [, prefix = "", dots, suffix = ""] = match;
    const key = `${method} ${firstSegment(path)}`;
    const list = this.#patterns.get(key) ?? [];
    list.push({ prefix, suffix, greedy: dots !== undefined, handler });
    // The longest suffix first: "/images/{name...}" would else take "/images/a/json".
    list.sort((a, b) => b.suffix.length - a.suffix.length);
    this.#patterns.set(key, list);
  }

  find(method: string, path: string): Match<H> | undefined {
    const fixed = this.#fixed.get(`${method} ${path}`);
    if (fixed !== undefined) return { handler: fixed, name: undefined };
    for (const pattern of this.#patterns.get(`${method} ${firstSegment(path)}`) ?? []) {
      const name = middle(path, pattern);
      if (name !== undefined) return { handler: pattern.handler, name };
    }
    return undefined;
  }
}

function firstSegment(path: string): string {
  const end = path.indexOf("/", 1);
  return end === -1 ? path.slice(1) : path.slice(1, end);
}

function middle<H>(path: string, pattern: Pattern<H>): string | undefined {
  const { prefix, suffix, greedy } = pattern;
  if (!path.startsWith(prefix) || !path.endsWith(suffix)) return undefined;
  const raw = path.slice(prefix.length, path.length - suffix.length);
  if (path.length <= prefix.length + suffix.length || (!greedy && raw.includes("/"))) return undefined;
  try {
    return decodeURIComponent(raw);
  } catch {
    return undefined;
  }
}
