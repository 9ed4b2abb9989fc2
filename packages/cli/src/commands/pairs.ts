/** Of "key=value" and "key", the last of a key counts. */
export function pairs(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(list.map((text) => [text.split("=", 1)[0] ?? "", text.split(/=(.*)/s)[1] ?? ""]));
}
