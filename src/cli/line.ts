import { globalOptions } from './command.ts'
import { commandOf, commands } from './table.ts'

type Row = (typeof commands)[number]

/** A command line, taken apart into the name of a command and the rest. */
interface CommandLine {
  /** The command that the line names, or `issue` where it begins with a name to issue for. */
  readonly row: Row | undefined
  /** The words beside the command's name, in their order. */
  readonly rest: readonly string[]
}

/**
 * Finds the command of a line. Its name is the first one or two words that are neither options nor
 * values of options, so that options may stand before it, within it and after it.
 */
export function findCommand(argv: readonly string[]): CommandLine {
  const [first, second] = plainWords(argv, 2)
  const row = commandOf([wordAt(argv, first), wordAt(argv, second)])
  if (row !== undefined) {
    const named = row.spec.name.includes(' ') ? [first, second] : [first]
    return { row, rest: argv.filter((_, i) => !named.includes(i)) }
  }
  const issues =
    first === undefined
      ? hasNames(argv) || namesIssueOption(argv)
      : looksLikeName(argv[first] ?? '') || namesIssueOption(argv.slice(0, first))
  return { row: issues ? commandOf(['issue']) : undefined, rest: argv }
}

/**
 * Puts `--` before the first argument of a command that passes its arguments on, so that none of
 * them is read as an option of `rootling`.
 */
export function withPassedOn(argv: readonly string[]): readonly string[] {
  const [first, second] = plainWords(argv, 2)
  if (second === undefined || argv.slice(0, second).includes('--')) return argv
  if (commandOf([wordAt(argv, first)])?.spec.passesOn !== true) return argv
  return [...argv.slice(0, second), '--', ...argv.slice(second)]
}

const wordAt = (argv: readonly string[], index: number | undefined): string =>
  index === undefined ? '' : (argv[index] ?? '')

/**
 * Returns where the first words are that are neither options nor values of options, at most `count`
 * of them. Words behind `--` are not counted, since they are never the name of a command.
 */
export function plainWords(argv: readonly string[], count = Infinity): number[] {
  const found: number[] = []
  for (let i = 0; i < argv.length && found.length < count; i++) {
    const word = argv[i] ?? ''
    if (word === '--') break
    if (!word.startsWith('-') || word === '-') found.push(i)
    else if (takesNextWord(word)) i++
  }
  return found
}

/** Whether the next word is the value of this option, as in `--days 30` and `-p 8443`. */
function takesNextWord(word: string): boolean {
  const names = optionsTakingValues()
  if (word.startsWith('--')) return names.has(word.slice(2))
  const letters = word.slice(1).split('')
  const valued = letters.findIndex((letter) => names.has(letter))
  return valued !== -1 && valued === letters.length - 1
}

/**
 * The names and letters of all options that take a value. An option that takes a value in one
 * command takes one in every command that has it, so a line can be read before its command is known.
 */
function optionsTakingValues(): ReadonlySet<string> {
  return (takingValues ??= new Set(
    [globalOptions, ...commands.map(({ spec }) => spec.options)]
      .flatMap((options) => Object.entries(options))
      .filter(([, { type }]) => type !== 'boolean')
      .flatMap(([name, { alias, hidden = [] }]) => [
        name,
        ...hidden,
        ...(alias === undefined ? [] : [alias]),
      ]),
  ))
}
let takingValues: ReadonlySet<string> | undefined

/** Whether words follow `--`, which are names to issue for. */
function hasNames(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return end !== -1 && end < argv.length - 1
}

function namesIssueOption(argv: readonly string[]): boolean {
  const options = commandOf(['issue'])?.spec.options ?? {}
  return argv.some((word) => Object.hasOwn(options, /^--([^=]+)/.exec(word)?.[1] ?? ''))
}

/**
 * Whether a word is a name to issue for, which may be given without a command, as to mkcert. A word
 * without any of these characters may be a mistyped command.
 */
function looksLikeName(word: string): boolean {
  return word === '' || word === 'localhost' || /[.:@*]/.test(word)
}
