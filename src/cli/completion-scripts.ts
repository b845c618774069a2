/**
 * Completion for bash and zsh, as scripts.
 *
 * Both walk the words before the cursor in the same way: an option that takes a value swallows the next word, a word that is
 * a command of the path so far extends the path, any other is an argument. The tables that they look things up in are
 * written out as `case` statements. Names, peers and labels come from the program itself (`tunwall completion names
 * KIND`), called with the options that select the API. What others named is never expanded by the shell, and it is
 * quoted when it is typed for the user. Behind a comma, the next one of a list is completed.
 */
import type { CompletedCommand, ValueKind } from './completion-model.ts';

/** Options that select the API, also when querying names. */
const passedOn = ['--config', '--socket', '--url', '--token-file'];

/** Text in single quotes, for a shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A kind as one word: `template`, `words inbound outbound`. */
function kindText(value: ValueKind): string {
  return value.kind === 'words' ? `words ${value.words.join(' ')}` : value.kind;
}

/** `case` branches: path and option -> kind of its value. */
function optionBranches(commands: readonly CompletedCommand[]): string {
  const lines = commands.flatMap(({ path, options }) =>
    options.flatMap(({ flags, value }) =>
      value === undefined
        ? []
        : [
            `    ${flags.map((flag) => quote(`${path}:${flag}`)).join('|')}) kind=${quote(kindText(value))} ;;`,
          ],
    ),
  );
  return lines.join('\n');
}

/** `case` branches: path and number of the argument -> its kind. */
function argumentBranches(commands: readonly CompletedCommand[]): string {
  const lines = commands.flatMap(({ path, arguments: kinds, isVariadic, selectors }) =>
    kinds.flatMap((value, index) => {
      const at = isVariadic && index === kinds.length - 1 ? '*' : String(index);
      const branch = (kind: ValueKind, selected: string): string =>
        `    ${quote(`${path}:`)}${at}${selected}) kind=${quote(kindText(kind))} ;;`;
      const selects = value.kind === 'server' && selectors.length > 0;
      return [
        ...(selects ? [branch({ kind: 'template' }, "' selected'")] : []),
        branch(value, selectors.length > 0 && at !== '*' ? '*' : ''),
      ];
    }),
  );
  return lines.join('\n');
}

/** Options with a selector, with their path. */
function selectorPattern(commands: readonly CompletedCommand[]): string {
  return commands
    .flatMap(({ path, selectors }) => selectors.map((flag) => quote(`${path}:${flag}`)))
    .join('|');
}

/** `case` branches for the paths that are commands. */
function pathPattern(commands: readonly CompletedCommand[]): string {
  return commands
    .filter(({ path }) => path !== '')
    .map(({ path }) => quote(path))
    .join('|');
}

/**
 * The walk over the words before the cursor; both shells run the same text, with their differences filled in. (A
 * variable named path would be zsh's PATH.)
 */
function walk(first: string, end: string): string {
  return `  local place='' expecting='' number=0 kind='' selected='' word i
  local -a whom=()
  for ((i = ${first}; i < ${end}; i++)); do
    word=\${words[i]}
    if [[ -n $expecting ]]; then
      case "$expecting" in ${passedOn.join('|')}) whom+=("$expecting" "$word") ;; esac
      expecting=''
    elif [[ $word == -*=* ]]; then
      _tunwall_selects "$place" "\${word%%=*}" && selected=' selected'
      case "\${word%%=*}" in ${passedOn.join('|')}) whom+=("$word") ;; esac
    elif [[ $word == -* ]]; then
      _tunwall_option "$place" "$word"
      [[ -n $kind ]] && expecting=$word
      _tunwall_selects "$place" "$word" && selected=' selected'
    elif _tunwall_is_command "\${place:+$place }$word"; then
      place="\${place:+$place }$word"
    else
      number=$((number + 1))
    fi
  done`;
}

function tables(commands: readonly CompletedCommand[]): string {
  return `_tunwall_is_command() {
  case "$1" in
    ${pathPattern(commands)}) return 0 ;;
  esac
  return 1
}

_tunwall_option() {
  case "$1:$2" in
${optionBranches(commands)}
    *) kind='' ;;
  esac
}

_tunwall_selects() {
  case "$1:$2" in
    ${selectorPattern(commands)}) return 0 ;;
  esac
  return 1
}

_tunwall_argument() {
  case "$1:$2" in
${argumentBranches(commands)}
    *) kind='nothing' ;;
  esac
}`;
}

/** Case branches with a list in a variable. */
function listBranches(
  commands: readonly CompletedCommand[],
  list: (command: CompletedCommand) => readonly string[],
  name: string,
): string {
  return commands
    .filter((command) => list(command).length > 0)
    .map((command) => `    ${quote(command.path)}) ${name}=(${list(command).join(' ')}) ;;`)
    .join('\n');
}

export function bashCompletion(commands: readonly CompletedCommand[]): string {
  return `# bash completion for tunwall. Made by: tunwall completion bash

${tables(commands)}

_tunwall_commands() {
  found=()
  case "$1" in
${listBranches(commands, (command) => command.commands.map(({ name }) => name), 'found')}
  esac
}

_tunwall_options() {
  found=()
  case "$1" in
${listBranches(commands, (command) => command.options.flatMap(({ flags }) => flags), 'found')}
  esac
}

# Offers those of the words that begin with what was typed: as readline puts them in, without what it keeps.
_tunwall_offer() {
  local word typed
  for word in "$@"; do
    [[ $list$word == "$current"* ]] || continue
    word=$list$word
    word=\${word#"$kept"}
    printf -v typed '%q' "$word"
    typed=\${typed//\\\\,/,}
    if [[ -z $quoting ]]; then
      COMPREPLY+=("$typed")
    elif [[ $typed == "$word" ]]; then
      COMPREPLY+=("$word")
    fi
  done
}

_tunwall_names() {
  local -a names=()
  mapfile -t names < <("\${COMP_WORDS[0]}" completion names "$1" "\${whom[@]}" 2>/dev/null </dev/null)
  _tunwall_offer "\${names[@]}"
}

_tunwall_values() {
  case "$kind" in
    words\\ *) found=(\${kind#words }); _tunwall_offer "\${found[@]}" ;;
    file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "\${current#"$list"}") ;;
    directory) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "\${current#"$list"}") ;;
    nothing) ;;
    *)
      [[ $current == *,* ]] && list=\${current%,*},
      _tunwall_names "$kind"
      [[ $kind == peer && $list == *label:* ]] && _tunwall_names selector
      ;;
  esac
}

# The words up to the cursor as the command will see them. Those in COMP_WORDS are split at : and =, too.
_tunwall_split() {
  local line=\${COMP_LINE:0:COMP_POINT} word='' begun='' char i
  for ((i = 0; i < \${#line}; i++)); do
    char=\${line:i:1}
    if [[ $char == \\\\ && $quoting != "'" ]]; then
      i=$((i + 1)) begun=1 word+=\${line:i:1}
    elif [[ -n $quoting ]]; then
      if [[ $char == "$quoting" ]]; then quoting=''; else word+=$char; fi
    elif [[ $char == [\\'\\"] ]]; then
      quoting=$char begun=1
    elif [[ $char != [[:blank:]] ]]; then
      word+=$char begun=1
    elif [[ -n $begun ]]; then
      words+=("$word") word='' begun=''
    fi
  done
  words+=("$word")
}

_tunwall() {
  local -a words=() found=()
  local quoting='' list='' current kept
  COMPREPLY=()
  _tunwall_split
  current=\${words[\${#words[@]} - 1]}
  # Readline completes $2, the end of the word; what stands before that it keeps.
  [[ $current == *"$2" ]] || return
  kept=\${current%"$2"}
${walk('1', '${#words[@]} - 1')}
  if [[ -n $expecting || $current == -*=* ]]; then
    if [[ -z $expecting ]]; then
      expecting=\${current%%=*} list=\${current%%=*}=
    fi
    _tunwall_option "$place" "$expecting"
    _tunwall_values
  elif [[ $current == -* ]]; then
    _tunwall_options "$place"
    _tunwall_offer "\${found[@]}"
  else
    _tunwall_argument "$place" "$number$selected"
    _tunwall_values
    if ((number == 0)); then
      _tunwall_commands "$place"
      _tunwall_offer "\${found[@]}"
    fi
  fi
}

complete -F _tunwall tunwall
`;
}

/** \`name:description\`, as _describe wants it. */
function described(name: string, description: string): string {
  return quote(`${name.replaceAll(':', '\\\\:')}:${description}`);
}

export function zshCompletion(commands: readonly CompletedCommand[]): string {
  return `#compdef tunwall
# zsh completion for tunwall. Made by: tunwall completion zsh

${tables(commands)}

_tunwall_commands() {
  found=()
  case "$1" in
${listBranches(
  commands,
  (command) => command.commands.map(({ name, description }) => described(name, description)),
  'found',
)}
  esac
}

_tunwall_options() {
  found=()
  case "$1" in
${listBranches(
  commands,
  (command) =>
    command.options.flatMap(({ flags, description }) =>
      flags.map((flag) => described(flag, description)),
    ),
  'found',
)}
  esac
}

_tunwall_names() {
  found=(\${(f)"$(\${words[1]} completion names "$1" "\${whom[@]}" 2>/dev/null </dev/null)"})
  compadd -a found
}

_tunwall_values() {
  case "$kind" in
    words\\ *) found=(\${=kind#words }); compadd -a found ;;
    file) _files ;;
    directory) _files -/ ;;
    nothing) ;;
    *)
      local list=''
      compset -P '*,' && list=\${IPREFIX}
      _tunwall_names "$kind"
      [[ $kind == peer && $list == *label:* ]] && _tunwall_names selector
      ;;
  esac
}

_tunwall() {
  local -a found=()
  words=("\${(@Q)words}")
${walk('2', 'CURRENT')}
  local current=\${words[CURRENT]}
  if [[ -n $expecting ]]; then
    _tunwall_option "$place" "$expecting"
    _tunwall_values
  elif [[ $current == -*=* ]]; then
    _tunwall_option "$place" "\${current%%=*}"
    compset -P "\${current%%=*}="
    _tunwall_values
  elif [[ $current == -* ]]; then
    _tunwall_options "$place"
    _describe -o option found
  else
    _tunwall_argument "$place" "$number$selected"
    _tunwall_values
    if ((number == 0)); then
      _tunwall_commands "$place"
      ((\${#found})) && _describe command found
    fi
  fi
}

# Loaded from $fpath, this file is the function; read with source, it registers it.
if [[ \${funcstack[1]} == _tunwall ]]; then
  _tunwall "$@"
else
  compdef _tunwall tunwall
fi
`;
}
