import type { Flag } from "../flags.ts";
import { quote, type Tree } from "./words.ts";

/** A completion script for zsh: put it into a file named _berth on $fpath, or `source <(berth completion zsh)`. */
export function zshCompletion(tree: Tree): string {
  const described = (list: readonly { word: string; summary: string }[]) =>
    list.map(({ word, summary }) => quote(`${escaped(word)}:${summary}`)).join(" ");
  const groups = Object.entries(tree.groups).map(
    ([group, list]) => `    ${quote(group)}) list=(${described(list)}) ;;`,
  );
  const leaves = tree.leaves.map(
    ({ path, flags }) => `    ${quote(path.join(" "))}) flags=(${flags.flatMap(specs).join(" ")}) ;;`,
  );
  return `#compdef berth
_berth_group() {
  list=()
  case "$1" in
${groups.join("\n")}
  esac
}
_berth_leaf() {
  flags=()
  case "$1" in
${leaves.join("\n")}
  esac
}
_berth_rest() {
  case "$1" in
    run|create|rmi|tag|history|save|"container run"|"container create"|"image "*)
      compadd -- \${(f)"$(berth images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null)"} ;;
    attach|exec|inspect|kill|logs|pause|port|rename|restart|rm|start|stats|stop|top|unpause|wait|"container "*)
      compadd -- \${(f)"$(berth ps -a --format '{{.Names}}' 2>/dev/null)"} ;;
    *) _files ;;
  esac
}
_berth() {
  local -a list flags
  local command=\${words[2]} path
  if (( CURRENT == 2 )); then
    list=(${described(tree.first)})
    _describe command list
    return
  fi
  _berth_group "$command"
  path="$command"
  if (( \${#list} )); then
    if (( CURRENT == 3 )); then
      _describe command list
      return
    fi
    path="$command \${words[3]}"
  fi
  _berth_leaf "$path"
  _arguments -s \${flags} "*:argument:_berth_rest '$path'"
}
compdef _berth berth 2>/dev/null
`;
}

/** "--name[help]:value:" in the notation of zsh's _arguments. */
function specs({ name, short, type, value, help }: Flag): string[] {
  const text = help.replace(/[[\]:\\]/g, "\\$&");
  const repeated = type === "list" ? "*" : "";
  const takes = type === "bool" ? "" : `:${(value ?? type).replace(/[:\\]/g, "\\$&")}:_files`;
  const dashes = short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`];
  return dashes.map((dash) =>
    quote(`${repeated}${dash}${type === "bool" || dash.length === 2 ? "" : "="}[${text}]${takes}`),
  );
}

function escaped(word: string): string {
  return word.replaceAll(":", "\\:");
}
