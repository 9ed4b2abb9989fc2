/** A filter by label: `KEY`, which is to be there, or `KEY=VALUE`. */
export function hasLabel(labels: Readonly<Record<string, string>>, filter: string): boolean {
  const [key = "", value] = filter.split(/=(.*)/s);
  return Object.hasOwn(labels, key) && (value === undefined || labels[key] === value);
}
