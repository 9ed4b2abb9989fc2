// What differs between any two engines, and any two runs of one, is replaced by what it is.

const rules: readonly (readonly [RegExp, string])[] = [
  [/\b[0-9a-f]{64}\b/g, "<id>"],
  [/\b[0-9a-f]{12}\b/g, "<short-id>"],
  [/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/g, "<time>"],
  [/\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4} [A-Z]+\b/g, "<time>"],
  [/\b(?:Less than a second|About an? (?:second|minute)|\d+ (?:second|minute)s?)\b/g, "<while>"],
  [/\b172\.(1[6-9]|2\d|3[01])\.\d{1,3}\.\d{1,3}\b/g, "<address>"],
  [/\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, "<mac>"],
  [/\b(execDuration|timeNano|time|pid|Pid)=\d+/g, "$1=<number>"],
];

/** `directory` is where the steps ran. Two tables whose columns are as wide as what was in them are equal when their words are. */
export function normalise(text: string, directory: string): string {
  let result = text.replaceAll("\r\n", "\n").replaceAll(directory, "<directory>");
  for (const [pattern, replacement] of rules) result = result.replace(pattern, replacement);
  return result.replace(/ {2,}/g, "  ").replace(/[ \t]+$/gm, "");
}
