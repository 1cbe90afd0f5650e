import { globalOptions, type CommandSpec, type Completion, type OptionSpec } from '../command.ts'
import { groupOf, groups } from '../command-groups.ts'

/** What a word of a command line may be. */
export interface Word {
  /** The words to choose from. */
  readonly choices: readonly string[]
  readonly completes: readonly Completion[]
  /** The name of the value in help. */
  readonly title: string
}

/** An option as a completion script offers it. */
export interface Flag {
  /** With its hyphens, the long name first. */
  readonly names: readonly string[]
  readonly describe: string
  readonly repeatable: boolean
  /** The value that it takes; `null`: none. */
  readonly value: Word | null
}

/** A command as a completion script offers it. */
export interface Entry {
  readonly name: string
  readonly summary: string
  readonly flags: readonly Flag[]
  /** Its arguments; `null`: it takes none. */
  readonly argument: Word | null
  readonly passesOn: boolean
}

/** All that a completion script offers without asking `rootling`. */
export interface CompletionModel {
  readonly groups: readonly (readonly [name: string, summary: string])[]
  readonly entries: readonly Entry[]
  /** The commands that the first word of a group stands for where options follow it. */
  readonly bare: readonly Entry[]
  /** The spellings, with hyphens, of every option whose next word is its value. */
  readonly valued: readonly string[]
}

/** The rows of the table of commands. */
export type Commands = readonly { readonly spec: CommandSpec; readonly hidden?: true }[]

/** Returns what every completion script offers, from the table of commands. */
export function completionModel(commands: Commands): CompletionModel {
  const entries = commands.filter(({ hidden }) => hidden !== true).map(({ spec }) => entryOf(spec))
  const named = [globalOptions, ...commands.map(({ spec }) => spec.options)].flatMap((options) =>
    Object.entries<OptionSpec>(options),
  )
  const valued = named
    .filter(([, { type }]) => type !== 'boolean')
    .flatMap(([name, option]) => [...spellings(name, option), ...(option.hidden ?? []).map(long)])
  return {
    groups: Object.entries(groups),
    entries,
    bare: entries.flatMap((entry) =>
      entry.name === 'server run' ? [{ ...entry, name: 'server' }] : [],
    ),
    valued: [...new Set(valued)].toSorted(),
  }
}

/** The commands of a group without its name, or with `null` those of one word. */
export const entriesIn = ({ entries }: CompletionModel, group: string | null): Entry[] =>
  entries
    .filter((entry) => groupOf(entry) === group)
    .map((entry) => ({ ...entry, name: entry.name.slice(group === null ? 0 : group.length + 1) }))

function entryOf(spec: CommandSpec): Entry {
  const options = Object.entries<OptionSpec>({ ...spec.options, ...globalOptions })
  return {
    name: spec.name,
    summary: spec.summary,
    flags: [
      ...options.filter(([, { unlisted }]) => unlisted !== true).map(flagOf),
      { names: ['--help', '-h'], describe: 'Print the help', repeatable: false, value: null },
    ],
    argument: spec.positionals === undefined ? null : argumentOf(spec, spec.positionals),
    passesOn: spec.passesOn === true,
  }
}

function argumentOf({ completes = [] }: CommandSpec, positionals: string): Word {
  const words = positionals.match(/[\w-]+/g) ?? []
  return {
    choices: words.filter((word) => /^[a-z][a-z0-9-]*$/.test(word)),
    completes,
    title: positionals.replaceAll(/[[\]…]/g, ''),
  }
}

function flagOf([name, option]: [string, OptionSpec]): Flag {
  const { type, describe, choices = [], placeholder = type === 'number' ? 'N' : 'X' } = option
  const value: Word = {
    choices,
    completes: option.completes ?? byPlaceholder[placeholder] ?? [],
    title: choices.length === 0 ? placeholder : 'KIND',
  }
  return {
    names: spellings(name, option),
    describe,
    repeatable: option.array === true,
    value: type === 'boolean' ? null : value,
  }
}

const byPlaceholder: Readonly<Record<string, readonly Completion[]>> = {
  F: ['files'],
  FILE: ['files'],
  DIR: ['directories'],
}

const long = (name: string): string => `--${name}`

const spellings = (name: string, { alias }: OptionSpec): string[] => [
  long(name),
  ...(alias === undefined ? [] : [`-${alias}`]),
]

type Arms = [keys: string[], text: string][]

/** For each command, the text that offers its options. */
const flagArms = (
  { entries, bare }: CompletionModel,
  textOf: (flags: readonly Flag[]) => string,
): Arms => alike([...entries, ...bare].map(({ name, flags }) => [name, textOf(flags)]))

/** For each `COMMAND:OPTION`, the text that offers its values; `--ca` is left out. */
const valueArms = ({ entries, bare }: CompletionModel, textOf: (value: Word) => string): Arms =>
  alike(
    [...entries, ...bare].flatMap(({ name: command, flags }) =>
      flags.flatMap(({ names, value }) =>
        value === null || names[0] === '--ca'
          ? []
          : names.map((name): [string, string] => [`${command}:${name}`, textOf(value)]),
      ),
    ),
  )

/** For each command, the text that offers its arguments. */
const argumentArms = ({ entries }: CompletionModel, textOf: (argument: Word) => string): Arms =>
  alike(entries.map(({ name, argument }) => [name, argument === null ? '' : textOf(argument)]))

/** The letters of short options whose next word is their value. */
const lettersOf = ({ valued }: CompletionModel): string =>
  valued.flatMap((option) => (option.length === 2 ? [option.slice(1)] : [])).join('')

/** Groups what is offered alike: returns each text with all keys that it was given for. */
function alike(pairs: readonly (readonly [key: string, text: string])[]): Arms {
  const byText = new Map<string, string[]>()
  for (const [key, text] of pairs)
    if (text !== '') byText.set(text, [...(byText.get(text) ?? []), key])
  return [...byText].map(([text, keys]) => [keys, text])
}

/** What a script says where its skeleton has one of these words between two @. */
interface Rendering {
  /** Texts by their word, such as `COMMANDS`. */
  readonly texts: Readonly<Record<string, string>>
  /** The text for one arm of a `case`. */
  readonly arm: (keys: readonly string[], text: string) => string
  /** What is offered: the options of a command, and the values of an option or an argument. */
  readonly flags: (flags: readonly Flag[]) => string
  readonly actions: (word: Word) => string
}

/**
 * Returns a script from its skeleton: each `@WORD@` becomes the text of that word, or the arms for
 * LETTERS, FLAGS, VALUES and ARGUMENTS, which every skeleton has. Throws for a word that has no text.
 */
export function scriptOf(
  skeleton: string,
  model: CompletionModel,
  { texts, arm, flags, actions }: Rendering,
): string {
  const armsOf = (arms: Arms): string => arms.map(([keys, text]) => arm(keys, text)).join('\n')
  const all: Readonly<Record<string, string>> = {
    ...texts,
    LETTERS: lettersOf(model),
    FLAGS: armsOf(flagArms(model, flags)),
    VALUES: armsOf(valueArms(model, actions)),
    ARGUMENTS: armsOf(argumentArms(model, actions)),
  }
  // In one pass, since the texts hold words of the table of commands, which may look like anything.
  return skeleton.replaceAll(/@([A-Z]+)@/g, (_, word: string) => {
    const text = all[word]
    if (text === undefined) throw new TypeError(`The skeleton has @${word}@, which has no text.`)
    return text
  })
}
