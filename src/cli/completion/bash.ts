import { entriesIn, scriptOf, type CompletionModel, type Flag, type Word } from './model.ts'

/**
 * Returns the completion script of bash, which needs neither bash-completion nor a newer bash than
 * 3.2. What `rootling __complete` prints is foreign text, so the script never lets bash expand it:
 * `compgen -W` would.
 */
export function bashScript(model: CompletionModel): string {
  const texts = {
    VALUED: patterns(model.valued),
    COMMANDS: commandArms(model),
    OFFERED: offered(model),
  }
  return scriptOf(skeleton, model, { texts, arm, flags: allOf, actions })
}

const patterns = (words: readonly string[]): string => words.map(quoted).join('|')

/** Words of our own, which need quotes only for the space of a command's name. */
const quoted = (word: string): string => (/^[\w*:-]+$/.test(word) ? word : `'${word}'`)

const arm = (keys: readonly string[], text: string): string => `    ${patterns(keys)}) ${text} ;;`

function commandArms(model: CompletionModel): string {
  const names = model.entries.map(({ name }) => name)
  const first = [...model.groups.map(([name]) => name), ...names.filter((n) => !n.includes(' '))]
  const second = names.filter((name) => name.includes(' '))
  return [
    `        :help) helps=1 ;;`,
    `        ${first.map((name) => `:${name}`).join('|')}) command=$word ;;`,
    `        ${second.map((name) => quoted(name.replace(' ', ':'))).join('|')}) command="$command $word" ;;`,
  ].join('\n')
}

const allOf = (flags: readonly Flag[]): string =>
  `_rootling_words ${flags.map(({ names }) => names[0]).join(' ')}`

function offered(model: CompletionModel): string {
  const single = entriesIn(model, null).map(({ name }) => name)
  const top = [...single, ...model.groups.map(([name]) => name), 'help']
  return [
    arm([''], `_rootling_words ${top.join(' ')}`).replace('    )', "    '')"),
    ...model.groups.map(([group]) =>
      arm(
        [group],
        `_rootling_words ${entriesIn(model, group)
          .map(({ name }) => name)
          .join(' ')}`,
      ),
    ),
  ].join('\n')
}

function actions({ choices, completes }: Word): string {
  const known = { files: '_rootling_files', directories: '_rootling_directories' } as const
  return [
    ...(choices.length === 0 ? [] : [`_rootling_words ${choices.join(' ')}`]),
    ...completes.map((each) => {
      if (each === 'programs') return '_rootling_program'
      return each in known ? known[each as keyof typeof known] : `_rootling_ask ${each}`
    }),
  ].join('; ')
}

const skeleton = `# Completes rootling in bash; printed by: rootling completion bash

# Sets words to the words of the line up to the cursor, which bash has cut at : and = too, and places
# to where each begins in COMP_WORDS.
_rootling_split() {
  local rest=\${COMP_LINE:0:COMP_POINT} before part i
  words=() places=()
  for ((i = 0; i <= COMP_CWORD; i++)); do
    part=\${COMP_WORDS[i]}
    before=$rest
    rest=\${rest#"\${rest%%[![:space:]]*}"}
    if [[ $rest == "$part"* ]]; then
      rest=\${rest#"$part"}
    else
      part=$rest rest=
    fi
    if [[ \${#words[@]} -gt 0 && $before == "$part$rest" ]]; then
      words[\${#words[@]}-1]+=$part
    else
      words+=("$part") places+=("$i")
    fi
  done
}

# Sets plain to a word without its quotes, quote to the one that is open at its end, and kept to what
# readline leaves as it is: up to the last : or =. Expands nothing.
_rootling_unquote() {
  local word=$1 char i
  plain= quote= kept=
  for ((i = 0; i < \${#word}; i++)); do
    char=\${word:i:1}
    if [[ $char == '\\' && $quote != "'" ]]; then
      i=$((i + 1))
      plain+=\${word:i:1}
    elif [[ -n $quote && $char == "$quote" ]]; then
      quote=
    elif [[ -z $quote && ($char == "'" || $char == '"') ]]; then
      quote=$char
    else
      plain+=$char
      [[ -z $quote && $char == [:=] && $COMP_WORDBREAKS == *"$char"* ]] && kept=$plain
    fi
  done
}

# Offers a word, if the current one may become it, with the quotes that it needs there.
_rootling_add() {
  local word=$front$1 escape="'\\\\''"
  [[ $word == "$plain"* ]] || return 0
  case $quote in
    '')
      word=\${word#"$kept"}
      printf -v word %q "$word"
      ;;
    "'")
      [[ $current == "'"* ]] || return 0
      word=\${word//\\'/$escape}
      ;;
    *)
      [[ $current == '"'* && $word != *[\\\\\\"\\$\\\`!]* ]] || return 0
      ;;
  esac
  COMPREPLY+=("$word")
}

_rootling_words() {
  local word
  for word; do _rootling_add "$word"; done
}

# Offers what this machine has on record.
_rootling_ask() {
  local line
  while IFS= read -r line; do
    _rootling_add "\${line%%$'\\t'*}"
  done < <(command rootling __complete "$1" "\${words[@]}" 2>/dev/null </dev/null)
}

_rootling_files() {
  local file
  if [[ \${#COMPREPLY[@]} -eq 0 ]]; then
    compopt -o bashdefault -o default 2>/dev/null
  else
    while IFS= read -r file; do _rootling_add "$file"; done < <(compgen -f -- "$plain")
  fi
}

_rootling_directories() {
  compopt -o dirnames 2>/dev/null
}

_rootling_program() {
  local word
  while IFS= read -r word; do _rootling_add "$word"; done < <(compgen -c -- "$plain" | sort -u)
}

_rootling() {
  local IFS=$' \\t\\n' words places plain quote kept front= current
  local command= option= helps= ended= word i last count=0
  COMPREPLY=()
  _rootling_split
  last=$((\${#words[@]} - 1))
  for ((i = 1; i < last; i++)); do
    word=\${words[i]}
    option=
    if [[ -z $ended && $word == -?* ]]; then
      case $word in
        --) ended=1 ;;
        @VALUED@|-[!-]*[@LETTERS@])
          option=$word
          i=$((i + 1))
          ;;
      esac
    elif [[ $count -eq 0 ]]; then
      case $command:$word in
@COMMANDS@
        *)
          count=1
          [[ -z $command ]] && command=issue
          ;;
      esac
    else
      count=$((count + 1))
    fi
    if [[ $command == run && $count -gt 0 ]]; then
      # Another program's line begins here.
      if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "\${places[i]}"
      elif declare -F _command_offset >/dev/null; then
        _command_offset "\${places[i]}"
      else
        compopt -o bashdefault -o default 2>/dev/null
      fi
      return
    fi
  done
  # Its value has been typed already, unless that is the word at the cursor.
  [[ $i -gt $last ]] || option=
  current=\${words[last]}
  _rootling_unquote "$current"
  if [[ -z $option && -z $ended && $plain == --*=* ]]; then
    option=\${plain%%=*}
    front=$option=
  fi
  if [[ -n $option ]]; then
    # The last letter of several, as in -vp.
    [[ $option == -[!-]?* ]] && option=-\${option: -1}
    case $command:$option in
    *:--ca) _rootling_ask authorities ;;
@VALUES@
    esac
    return
  fi
  if [[ -z $ended && $plain == -* ]]; then
    case $command in
@FLAGS@
    *) _rootling_words --json --ca --quiet --help --version ;;
    esac
    return
  fi
  case $command in
@OFFERED@
  esac
  [[ -n $helps ]] && return
  case $command in
@ARGUMENTS@
  esac
}

if type compopt >/dev/null 2>&1; then
  complete -F _rootling rootling
else
  complete -o default -F _rootling rootling
fi
`
