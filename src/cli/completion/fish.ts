import { entriesIn, scriptOf, type CompletionModel, type Flag, type Word } from './model.ts'

/**
 * Returns the completion script of fish. Fish takes each line that a function prints as a word with
 * its description, and quotes a word where it inserts one.
 */
export function fishScript(model: CompletionModel): string {
  const texts = {
    VALUED: model.valued.map(quoted).join(' '),
    COMMANDS: commandArms(model),
    OFFERED: offered(model),
  }
  const one = (keys: readonly string[], text: string): string => arm(keys, [text])
  return scriptOf(skeleton, model, { texts, arm: one, flags: allOf, actions })
}

const quoted = (word: string): string =>
  /^[\w:.-]+$/.test(word) ? word : `'${word.replaceAll(/['\\]/g, '\\$&')}'`

const arm = (keys: readonly string[], lines: readonly string[]): string =>
  [
    `        case ${keys.map(quoted).join(' ')}`,
    ...lines.map((line) => `            ${line}`),
  ].join('\n')

function commandArms({ groups, entries }: CompletionModel): string {
  const names = entries.map(({ name }) => name)
  const first = [...groups.map(([name]) => name), ...names.filter((name) => !name.includes(' '))]
  const second = names.filter((name) => name.includes(' '))
  return [
    arm([':help'], ['set helps 1']),
    arm(
      first.map((name) => `:${name}`),
      ['set command $word'],
    ),
    arm(
      second.map((name) => name.replace(' ', ':')),
      ['set command "$command $word"'],
    ),
  ]
    .join('\n')
    .replaceAll(/^/gm, '        ')
}

const row = (word: string, about: string): string => `__rootling_add ${word} ${quoted(about)}`

const allOf = (flags: readonly Flag[]): string =>
  flags
    .flatMap(({ names, describe }) => names.map((name) => row(name, describe)))
    .join('\n            ')

function offered(model: CompletionModel): string {
  const top = [
    ...entriesIn(model, null).map(({ name, summary }) => row(name, summary)),
    ...model.groups.map(([name, summary]) => row(name, summary)),
    row('help', 'Print the help of a command'),
  ]
  return [
    arm([''], top),
    ...model.groups.map(([group]) =>
      arm(
        [group],
        entriesIn(model, group).map(({ name, summary }) => row(name, summary)),
      ),
    ),
  ].join('\n')
}

function actions({ choices, completes }: Word): string {
  const known = { files: '__rootling_files', directories: '__rootling_directories' } as const
  return [
    ...choices.map((choice) => `__rootling_add ${choice} ''`),
    ...completes.map((each) =>
      each === 'programs'
        ? '__rootling_program'
        : each in known
          ? known[each as keyof typeof known]
          : `__rootling_ask ${each}`,
    ),
  ].join('\n            ')
}

const skeleton = `# Completes rootling in fish; printed by: rootling completion fish

function __rootling_add -S
    printf '%s%s\\t%s\\n' $front $argv[1] $argv[2]
end

# Prints what this machine has on record.
function __rootling_ask -S
    for line in (command rootling __complete $argv[1] $words 2>/dev/null </dev/null)
        printf '%s%s\\n' $front $line
    end
end

function __rootling_files -S
    __rootling_paths (__fish_complete_path (string replace -- "$front" '' $current))
end

function __rootling_directories -S
    __rootling_paths (__fish_complete_directories (string replace -- "$front" '' $current))
end

function __rootling_paths -S
    for line in $argv
        printf '%s%s\\n' $front $line
    end
end

function __rootling_program -S
    complete -C "$current"
end

function __rootling_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l command ''
    set -l option ''
    set -l front ''
    set -l helps
    set -l ended
    set -l count 0
    set -l i 2
    while test $i -le (count $words)
        set -l word $words[$i]
        set option ''
        if test -z "$ended"; and string match -q -- '-?*' $word
            if test "$word" = --
                set ended 1
            else if contains -- $word @VALUED@; or string match -qr -- '^-[^-].*[@LETTERS@]$' $word
                set option $word
                set i (math $i + 1)
            end
        else if test $count -eq 0
            switch "$command:$word"
@COMMANDS@
                case '*'
                    set count 1
                    test -z "$command"; and set command issue
            end
        else
            set count (math $count + 1)
        end
        if test "$command" = run; and test $count -gt 0
            # Another program's line begins here.
            complete -C (string join -- ' ' (string escape -- $words[$i..-1]) $current)
            return
        end
        set i (math $i + 1)
    end
    # Its value has been typed already, unless that is the word at the cursor.
    test $i -gt (math (count $words) + 1); or set option ''
    if test -z "$option$ended"; and string match -q -- '--*=*' $current
        set option (string replace -r -- '=.*' '' $current)
        set front "$option="
    end
    if test -n "$option"
        # The last letter of several, as in -vp.
        set option (string replace -r -- '^-[^-].*(.)$' '-$1' $option)
        switch "$command:$option"
        case '*:--ca'
            __rootling_ask authorities
@VALUES@
        end
        return
    end
    if test -z "$ended"; and string match -q -- '-*' $current
        switch "$command"
@FLAGS@
        case '*'
            __rootling_add --json 'Print the result as JSON on stdout'
            __rootling_add --ca 'Another authority, kept apart by its name'
            __rootling_add --quiet 'Print no notes, only results, warnings and errors'
            __rootling_add --help 'Print the help'
            __rootling_add --version 'Print the version'
        end
        return
    end
    switch "$command"
@OFFERED@
    end
    test -n "$helps"; and return
    switch "$command"
@ARGUMENTS@
    end
end

complete -c rootling -f -a '(__rootling_complete)'
`
