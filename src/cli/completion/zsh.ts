import { entriesIn, type CompletionModel, type Entry, type Flag, type Word } from './model.ts'

/**
 * Returns the completion script of zsh: a file for a directory of `fpath`, which `eval` takes too. The
 * words of `rootling __complete` go to `_describe` as the members of an array, which zsh does not
 * expand and quotes where it inserts one.
 */
export function zshScript(model: CompletionModel): string {
  const single = entriesIn(model, null)
  return [
    head,
    ...model.groups.map(([group]) => chooser(group, entriesIn(model, group), [])),
    chooser('', single, model.groups),
    ...model.entries.map(commandFunction),
    tail,
  ].join('\n')
}

const nameOf = (command: string): string => `_rootling_${command.replaceAll(/[ -]/g, '_')}`

/** A function that offers the commands of a group, or calls the one of the command that is typed. */
function chooser(
  group: string,
  entries: readonly Entry[],
  groups: readonly (readonly [string, string])[],
): string {
  const rows = [...entries.map(({ name, summary }) => [name, summary] as const), ...groups]
  const arms = rows.map(
    ([name]) => `    ${name}) ${nameOf(group === '' ? name : `${group} ${name}`)} ;;`,
  )
  const isTop = group === ''
  // `rootling NAME` issues for the name.
  const others = isTop ? '    *) _rootling_issue ;;' : '    *) _message "no more arguments" ;;'
  return `
${isTop ? '_rootling' : nameOf(group)}() {
  local curcontext=$curcontext state state_descr line ret=1
  local -A opt_args
${isTop ? '  local -a _rootling_line=("${words[@]}")\n' : ''}  _arguments -C -s $_rootling_common '1: :->command' '*:: :->rest' && ret=0
  case $state in
  command)
    local -a commands=(
${rows.map(([name, summary]) => `      ${inQuotes(`${name}:${summary}`)}`).join('\n')}
${isTop ? "      'help:Print the help of a command'\n" : ''}    )
    _describe -t commands 'rootling${isTop ? '' : ` ${group}`} command' commands && ret=0
    ;;
  rest)
    curcontext=\${curcontext%:*:*}:rootling${isTop ? '' : `-${group}`}-$words[1]:
    case $words[1] in
${arms.join('\n')}
${isTop ? '    help) _rootling ;;\n' : ''}${others}
    esac && ret=0
    ;;
  esac
  return ret
}`
}

function commandFunction({ name, flags, argument, passesOn }: Entry): string {
  const specs = flags.filter(({ names }) => !common.has(names[0] ?? '')).map(flagSpec)
  const last =
    argument === null
      ? []
      : passesOn
        ? passedOn
        : [inQuotes(`*:${text(argument.title)}:${action(argument)}`)]
  const lines = ['$_rootling_common', ...specs, ...last]
  return `
${nameOf(name)}() {
  _arguments -s -S ${lines.join(' \\\n    ')}
}`
}

const common = new Set(['--json', '--ca', '--quiet', '--help'])

/** As of sudo, nohup and the like. */
const passedOn = [`'(-)1:command: _command_names -e'`, `'*::arguments: _normal'`]

/** An option as `_arguments` reads it. Zsh takes a value that follows = or is the next word. */
function flagSpec({ names, describe, repeatable, value }: Flag): string {
  const about = `[${text(describe)}]`
  const rest = value === null ? about : `${about}:${text(value.title)}:${action(value)}`
  const end = value === null ? '' : '='
  const [long = '', short] = names
  if (repeatable) return inQuotes(`*${long}${end}${rest}`)
  if (short === undefined) return inQuotes(`${long}${end}${rest}`)
  const excluded = inQuotes(`(${names.join(' ')})`)
  return `${excluded}{${short}${value === null ? '' : '+'},${long}${end}}${inQuotes(rest)}`
}

function action({ choices, completes }: Word): string {
  const kinds: [string, string][] = completes.map((each) => {
    if (each === 'files') return ['files:file', '_files']
    if (each === 'directories') return ['directories:directory', '_files -/']
    if (each === 'programs') return ['commands:command', '_command_names -e']
    return [`${each}:${titles[each] ?? each}`, `_rootling_ask ${each}`]
  })
  if (choices.length > 0) return `(${choices.join(' ')})`
  if (kinds.length === 0) return ' '
  const [only] = kinds
  if (kinds.length === 1 && only !== undefined)
    return only[1] === '_files' ? '_files' : ` ${only[1]}`
  const all = kinds.map(([tag, call]) => `"${tag}:${call === '_files' ? call : ` ${call}`}"`)
  return ` _alternative ${all.join(' ').replaceAll(':', '\\:')}`
}

const titles: Readonly<Record<string, string>> = {
  authorities: 'authority',
  certificates: 'name on record',
  clients: 'client',
  hosts: 'name in the hosts file',
  roots: 'root',
  routes: 'name',
  scopes: 'scope',
}

/** A text of ours within what `_arguments` reads. */
const text = (plain: string): string => plain.replaceAll(/[\\[\]:]/g, '\\$&')

const inQuotes = (plain: string): string => `'${plain.replaceAll("'", `'\\''`)}'`

const head = `#compdef rootling
# Completes rootling in zsh; printed by: rootling completion zsh

typeset -ga _rootling_common=(
  '--json[Print the result as JSON on stdout]'
  '--ca=[Another authority, kept apart by its name]:NAME: _rootling_ask authorities'
  '(-q --quiet)'{-q,--quiet}'[Print no notes, only results, warnings and errors]'
  '(- *)'{-h,--help}'[Print the help]'
)

# Offers what this machine has on record.
_rootling_ask() {
  local line word
  local -a found
  for line in "\${(@f)$(command rootling __complete $1 "\${_rootling_line[@]}" 2>/dev/null </dev/null)}"; do
    [[ -n $line ]] || continue
    word=\${line%%$'\\t'*}
    word=\${word//\\\\/\\\\\\\\}
    found+=("\${word//:/\\\\:}:\${line#*$'\\t'}")
  done
  _describe -t $1 $1 found
}`

const tail = `
if [[ $funcstack[1] == _rootling ]]; then
  _rootling "$@"
else
  compdef _rootling rootling
fi
`
