import { flagWords, quote, type Tree } from "./words.ts";

/** A completion script for bash: `source <(berth completion bash)`. Needs nothing but bash itself. */
export function bashCompletion(tree: Tree): string {
  const words = (list: readonly { word: string }[]) => list.map(({ word }) => word).join(" ");
  const groups = Object.entries(tree.groups).map(
    ([group, list]) => `    ${quote(group)}) _berth_words=${quote(words(list))} ;;`,
  );
  const leaves = tree.leaves.map(
    ({ path, flags }) =>
      `    ${quote(path.join(" "))}) _berth_flags=${quote(flagWords(flags).join(" "))}; _berth_values=${quote(flagWords(flags, true).join(" "))} ;;`,
  );
  return `# bash completion for berth
_berth_group() {
  _berth_words=
  case "$1" in
${groups.join("\n")}
  esac
}
_berth_leaf() {
  _berth_flags= _berth_values=
  case "$1" in
${leaves.join("\n")}
    *) return 1 ;;
  esac
}
_berth() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" i word first= path= skip= done=
  local _berth_words _berth_flags _berth_values
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    if [ -n "$skip" ]; then skip=; continue; fi
    case "$word" in
      ${flagWords(tree.globals, true).join("|")}) [ -z "$path" ] && skip=1 ;;
      -*) ;;
      *)
        if [ -z "$first" ]; then
          first="$word"
          _berth_group "$word"
          [ -z "$_berth_words" ] && path="$word"
        elif [ -z "$path" ]; then
          path="$first $word"
        else
          done=1
        fi ;;
    esac
  done
  if [ -n "$path" ]; then
    _berth_leaf "$path" || return 0
    case " $_berth_values " in *" $prev "*) compopt -o default 2>/dev/null; return 0 ;; esac
    if [[ "$cur" == -* ]]; then COMPREPLY=($(compgen -W "$_berth_flags" -- "$cur")); return 0; fi
    _berth_arguments "$path"
  elif [ -n "$first" ]; then
    _berth_group "$first"
    COMPREPLY=($(compgen -W "$_berth_words" -- "$cur"))
  elif [[ "$cur" == -* ]]; then
    COMPREPLY=($(compgen -W ${quote(flagWords(tree.globals).join(" "))} -- "$cur"))
  else
    COMPREPLY=($(compgen -W ${quote(words(tree.first))} -- "$cur"))
  fi
}
_berth_arguments() {
  local names=
  case "$1" in
    *"image "*|run|create|"container run"|"container create"|rmi|tag|history|save)
      names="$(berth images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null)" ;;
    attach|exec|inspect|kill|logs|pause|port|rename|restart|rm|start|stats|stop|top|unpause|wait|"container "*)
      names="$(berth ps -a --format '{{.Names}}' 2>/dev/null)" ;;
    *) compopt -o default 2>/dev/null; return 0 ;;
  esac
  COMPREPLY=($(compgen -W "$names" -- "$cur"))
  __ltrim_colon_completions "$cur" 2>/dev/null || true
}
complete -F _berth berth
`;
}
