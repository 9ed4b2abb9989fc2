/** One scheme that a server asks for (RFC 9110, section 11.6.1). */
export interface Challenge {
  /** lower case */
  scheme: string;
  parameters: Record<string, string>;
}

/** Reads WWW-Authenticate, however many challenges it holds. What can't be read is left out. */
export function parseChallenges(header: string | string[] | undefined): Challenge[] {
  const lines = header === undefined ? [] : Array.isArray(header) ? header : [header];
  return lines.flatMap((line) => parseLine(line.slice(0, 8192)));
}

function parseLine(line: string): Challenge[] {
  const challenges: Challenge[] = [];
  // Either `name=value` (value a token or a quoted string), or a word alone: the next scheme.
  const parts = /([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?/g;
  for (const [, name = "", quoted, token] of line.matchAll(parts)) {
    const value = quoted === undefined ? token : quoted.replace(/\\(.)/g, "$1");
    const current = challenges.at(-1);
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: {} });
    else if (current !== undefined) current.parameters[name.toLowerCase()] = value;
  }
  return challenges;
}
