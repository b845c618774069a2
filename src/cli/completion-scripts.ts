/**
 * Completion for bash and zsh, as scripts.
 *
 * Both walk the words before the cursor in the same way: an option that takes a value swallows the next word, a word that is
 * a command of the path so far extends the path, any other is an argument. The tables that they look things up in are
 * written out as `case` statements. Names of templates and the like come from the program itself (`tunwall completion
 * names KIND`), called with the options that select the API.
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
  const lines = commands.flatMap(({ path, arguments: kinds, isVariadic }) =>
    kinds.map((value, index) => {
      const last = isVariadic && index === kinds.length - 1;
      return `    ${quote(`${path}:`)}${last ? '*' : index}) kind=${quote(kindText(value))} ;;`;
    }),
  );
  return lines.join('\n');
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
  return `  local place='' expecting='' number=0 kind='' word i
  local -a whom=()
  for ((i = ${first}; i < ${end}; i++)); do
    word=\${words[i]}
    if [[ $word == '=' && -n $expecting ]]; then
      continue
    elif [[ -n $expecting ]]; then
      case "$expecting" in ${passedOn.join('|')}) whom+=("$expecting" "$word") ;; esac
      expecting=''
    elif [[ $word == -*=* ]]; then
      case "\${word%%=*}" in ${passedOn.join('|')}) whom+=("$word") ;; esac
    elif [[ $word == -* ]]; then
      _tunwall_option "$place" "$word"
      [[ -n $kind ]] && expecting=$word
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

_tunwall_values() {
  case "$kind" in
    words\\ *) COMPREPLY=($(compgen -W "\${kind#words }" -- "$current")) ;;
    file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    directory) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    nothing) ;;
    *) COMPREPLY=($(compgen -W "$("\${COMP_WORDS[0]}" completion names "$kind" "\${whom[@]}" 2>/dev/null)" -- "$current")) ;;
  esac
}

_tunwall() {
  local -a words=("\${COMP_WORDS[@]}") found=()
  local current=\${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
${walk('1', 'COMP_CWORD')}
  [[ $current == '=' ]] && current=''
  if [[ -n $expecting ]]; then
    _tunwall_option "$place" "$expecting"
    _tunwall_values
  elif [[ $current == -* ]]; then
    _tunwall_options "$place"
    COMPREPLY=($(compgen -W "\${found[*]}" -- "$current"))
  else
    _tunwall_argument "$place" "$number"
    _tunwall_values
    if ((number == 0)); then
      _tunwall_commands "$place"
      COMPREPLY+=($(compgen -W "\${found[*]}" -- "$current"))
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

_tunwall_values() {
  case "$kind" in
    words\\ *) found=(\${=kind#words }); compadd -a found ;;
    file) _files ;;
    directory) _files -/ ;;
    nothing) ;;
    *) found=(\${(f)"$(\${words[1]} completion names "$kind" "\${whom[@]}" 2>/dev/null)"}); compadd -a found ;;
  esac
}

_tunwall() {
  local -a found=()
${walk('2', 'CURRENT')}
  local current=\${words[CURRENT]}
  if [[ -n $expecting ]]; then
    _tunwall_option "$place" "$expecting"
    _tunwall_values
  elif [[ $current == -*=* ]]; then
    _tunwall_option "$place" "\${current%%=*}"
    compset -P '*='
    _tunwall_values
  elif [[ $current == -* ]]; then
    _tunwall_options "$place"
    _describe -o option found
  else
    _tunwall_argument "$place" "$number"
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
