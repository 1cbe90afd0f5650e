import { entriesIn, scriptOf, type CompletionModel, type Flag, type Word } from './model.ts'

/**
 * Returns the completion script of PowerShell, for its Register-ArgumentCompleter. Where it offers
 * nothing, PowerShell offers files. A word that needs quotes is offered in single ones, in which
 * nothing is expanded.
 */
export function powershellScript(model: CompletionModel): string {
  const texts = {
    VALUED: model.valued.map(quoted).join(', '),
    FIRST: first(model).map(quoted).join(', '),
    SECOND: second(model).map(quoted).join(', '),
    OFFERED: offered(model),
  }
  const one = (keys: readonly string[], text: string): string => arm(keys, [text])
  return scriptOf(skeleton, model, { texts, arm: one, flags: allOf, actions })
}

const quoted = (text: string): string => `'${ascii(text).replaceAll("'", "''")}'`

/** Windows PowerShell reads a file of UTF-8 as another encoding. */
const ascii = (text: string): string =>
  text.replaceAll(/[‘’]/g, "'").replaceAll(/[“”]/g, '"').replaceAll('…', '...')

const arm = (keys: readonly string[], lines: readonly string[]): string => {
  const [only = ''] = keys
  const head =
    keys.length === 1 ? quoted(only) : `{ @(${keys.map(quoted).join(', ')}) -ccontains $_ }`
  return [
    `        ${head} {`,
    ...[...lines, 'break'].map((line) => `            ${line}`),
    '        }',
  ].join('\n')
}

const first = ({ groups, entries }: CompletionModel): string[] => [
  ...groups.map(([name]) => name),
  ...entries.map(({ name }) => name).filter((name) => !name.includes(' ')),
]

const second = ({ entries }: CompletionModel): string[] =>
  entries.map(({ name }) => name).filter((name) => name.includes(' '))

const row = (word: string, about: string): string => `& $add ${quoted(word)} ${quoted(about)}`

const allOf = (flags: readonly Flag[]): string =>
  flags
    .flatMap(({ names, describe }) => names.map((name) => row(name, describe)))
    .join('\n            ')

function offered(model: CompletionModel): string {
  const rowOf = ({ name, summary }: { name: string; summary: string }): string => row(name, summary)
  const top = [
    ...entriesIn(model, null).map(rowOf),
    ...model.groups.map(([name, summary]) => row(name, summary)),
    row('help', 'Print the help of a command'),
  ]
  return [
    arm([''], top),
    ...model.groups.map(([group]) => arm([group], entriesIn(model, group).map(rowOf))),
  ].join('\n')
}

/** PowerShell itself offers files and programs where nothing is found. */
const ofPowershell = new Set<string>(['files', 'directories', 'programs'])

function actions({ choices, completes }: Word): string {
  return [
    ...choices.map((choice) => row(choice, choice)),
    ...completes.filter((each) => !ofPowershell.has(each)).map((each) => `& $ask ${quoted(each)}`),
  ].join('\n            ')
}

const skeleton = `# Completes rootling in PowerShell; printed by: rootling completion powershell

Register-ArgumentCompleter -Native -CommandName 'rootling' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $current = "$wordToComplete" -replace '^[''"]', ''
    $front = ''
    $authority = @()
    $found = [System.Collections.Generic.List[System.Management.Automation.CompletionResult]]::new()

    # Offers a word, if the current one may become it.
    $add = {
        param([string] $word, [string] $about)
        $whole = $front + $word
        if (-not $whole.StartsWith($current, [System.StringComparison]::Ordinal)) { return }
        $text = $whole
        if ($whole -cnotmatch '^[A-Za-z0-9_./:-][A-Za-z0-9_./:=-]*$') {
            $inner = [System.Management.Automation.Language.CodeGeneration]::EscapeSingleQuotedStringContent($whole)
            $text = "'" + $inner + "'"
        }
        if ($about -eq '') { $about = $word }
        $found.Add([System.Management.Automation.CompletionResult]::new($text, $word, 'ParameterValue', $about))
    }

    # Offers what this machine has on record.
    $ask = {
        param([string] $list)
        $program = Get-Command -Name 'rootling' -CommandType @('Application', 'ExternalScript') -ErrorAction Ignore | Select-Object -First 1
        if ($null -eq $program) { return }
        foreach ($line in @($null | & $program '__complete' $list @authority 2>$null)) {
            $word, $about = "$line" -split "\`t", 2
            & $add $word $about
        }
    }

    $words = @()
    foreach ($element in $commandAst.CommandElements) {
        if ($element.Extent.EndOffset -ge $cursorPosition -and "$wordToComplete" -ne '') { break }
        if ($element.Extent.StartOffset -ge $cursorPosition) { break }
        $words += $element.Extent.Text
    }

    $valued = @(@VALUED@)
    $first = @(@FIRST@)
    $second = @(@SECOND@)
    $command = ''
    $option = ''
    $helps = $false
    $ended = $false
    $count = 0
    for ($i = 1; $i -lt $words.Count; $i++) {
        $word = $words[$i]
        $option = ''
        if (-not $ended -and $word -like '-?*') {
            if ($word -ceq '--') {
                $ended = $true
            } elseif ($valued -ccontains $word -or $word -cmatch '^-[^-].*[@LETTERS@]$') {
                $option = $word
                $i++
                if ($word -ceq '--ca' -and $i -lt $words.Count -and $words[$i] -cmatch '^[a-z0-9-]+$') {
                    $authority = @('--ca', $words[$i])
                }
            }
        } elseif ($count -eq 0) {
            if ($command -eq '' -and $word -ceq 'help') {
                $helps = $true
            } elseif ($command -eq '' -and $first -ccontains $word) {
                $command = $word
            } elseif ($second -ccontains "$command $word") {
                $command = "$command $word"
            } else {
                $count = 1
                if ($command -eq '') { $command = 'issue' }
            }
        } else {
            $count++
        }
        # Another program's line begins here.
        if ($command -ceq 'run' -and $count -gt 0) { return }
    }
    # Its value has been typed already, unless that is the word at the cursor.
    if ($i -le $words.Count) { $option = '' }
    if ($option -eq '' -and -not $ended -and $current -clike '--*=*') {
        $option = $current.Substring(0, $current.IndexOf('='))
        $front = "$option="
    }

    if ($option -ne '') {
        # The last letter of several, as in -vp.
        $option = $option -creplace '^-[^-].*(.)$', '-$1'
        if ($option -ceq '--ca') { & $ask 'authorities' }
        switch -CaseSensitive ("\${command}:$option") {
@VALUES@
        }
    } elseif (-not $ended -and $current -like '-*') {
        switch -CaseSensitive ($command) {
@FLAGS@
        default {
            & $add '--json' 'Print the result as JSON on stdout'
            & $add '--ca' 'Another authority, kept apart by its name'
            & $add '--quiet' 'Print no notes, only results, warnings and errors'
            & $add '--help' 'Print the help'
            & $add '--version' 'Print the version'
        }
        }
    } else {
        switch -CaseSensitive ($command) {
@OFFERED@
        }
        if (-not $helps) {
            switch -CaseSensitive ($command) {
@ARGUMENTS@
            }
        }
    }
    $found
}
`
