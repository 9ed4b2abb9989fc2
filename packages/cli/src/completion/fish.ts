import { quote, type Tree } from "./words.ts";

/** A completion script for fish: `berth completion fish | source`. */
export function fishCompletion(tree: Tree): string {
  const lines = [
    "# fish completion for berth",
    "function __berth_path",
    "  set -l words (commandline -opc)[2..-1]",
    "  string match -v -- '-*' $words | string join ' '",
    "end",
    "function __berth_at",
    "  set -l path (__berth_path)",
    '  test "$path" = "$argv[1]"; or string match -q -- "$argv[1] *" "$path"',
    "end",
    "complete -c berth -f",
  ];
  for (const { word, summary } of tree.first) {
    lines.push(`complete -c berth -n 'test -z (__berth_path)' -a ${quote(word)} -d ${quote(summary)}`);
  }
  for (const [group, list] of Object.entries(tree.groups)) {
    for (const { word, summary } of list) {
      const here = quote(`test (__berth_path) = ${group}`);
      lines.push(`complete -c berth -n ${here} -a ${quote(word)} -d ${quote(summary)}`);
    }
  }
  for (const { path, flags } of tree.leaves) {
    const here = quote(`__berth_at "${path.join(" ")}"`);
    for (const { name, short, type, help } of flags) {
      const takes = type === "bool" ? "" : " -r";
      const letter = short === undefined ? "" : ` -s ${short}`;
      lines.push(`complete -c berth -n ${here} -l ${name}${letter}${takes} -d ${quote(help)}`);
    }
  }
  return `${lines.join("\n")}\n`;
}
