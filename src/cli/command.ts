import type { Context } from './context.ts'

/** What a shell completes a word with: files, programs, or one of the lists of `candidates.ts`. */
export type Completion =
  | 'files'
  | 'directories'
  | 'programs'
  | 'authorities'
  | 'certificates'
  | 'clients'
  | 'hosts'
  | 'roots'
  | 'routes'
  | 'scopes'

/** An option as plain data, for the parsers, help, the manual and completion. */
export interface OptionSpec {
  readonly type: 'string' | 'boolean' | 'number'
  readonly describe: string
  /** The name of the value in help. Shells complete F and FILE with files, DIR with directories. */
  readonly placeholder?: string
  /** What shells complete the value with; absent: what the placeholder says. */
  readonly completes?: readonly Completion[]
  readonly choices?: readonly string[]
  /** What to do where a value is none of the choices; absent: read the help of the command. */
  readonly otherwise?: string
  /** Whether the option may be given several times. */
  readonly array?: boolean
  /** Its letter, as in `-q`. */
  readonly alias?: string
  /** Other spellings, which are accepted for those who know them from other tools; not in help. */
  readonly hidden?: readonly string[]
  /** Whether help and completion leave the option out, since another one does the same. */
  readonly unlisted?: true
  /** The option means nothing without one of these. */
  readonly needs?: readonly string[]
  /** Options that contradict this one. */
  readonly excludes?: readonly string[]
}

export interface CommandSpec {
  /** The command as typed: one or two words. */
  readonly name: string
  readonly summary: string
  /**
   * The arguments as the usage line shows them, such as `NAME…`; absent: the command takes none.
   */
  readonly positionals?: string
  /** What shells complete an argument with; the words in small letters of `positionals` always. */
  readonly completes?: readonly Completion[]
  /**
   * Whether all words from the first argument on are for another program, those that look like
   * options too.
   */
  readonly passesOn?: true
  readonly options: Readonly<Record<string, OptionSpec>>
  readonly examples: readonly string[]
}

type Single<O extends OptionSpec> = O['type'] extends 'boolean'
  ? boolean
  : O['type'] extends 'number'
    ? number
    : O['choices'] extends readonly (infer C)[]
      ? C
      : string
type ValueOf<O extends OptionSpec> = O extends { array: true } ? Single<O>[] : Single<O>

export const globalOptions = {
  json: { type: 'boolean', describe: 'Print the result as JSON on stdout' },
  ca: {
    type: 'string',
    placeholder: 'NAME',
    describe: 'Another authority, kept apart by its name',
    completes: ['authorities'],
  },
  quiet: {
    type: 'boolean',
    describe: 'Print no notes, only results, warnings and errors',
    alias: 'q',
  },
} as const satisfies CommandSpec['options']

/** The options of a command as its body sees them; absent ones are `undefined`. */
export type ArgumentsOf<S extends CommandSpec> = {
  readonly [K in keyof S['options']]?: ValueOf<S['options'][K]> | undefined
} & { readonly positionals: readonly string[] }

/**
 * The exit codes, which the README documents. 0 means that everything that was asked for is done.
 */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  someStoresFailed: 3,
  notTrusted: 4,
  drift: 4,
  cancelled: 5,
  approvalNeeded: 6,
} as const
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** How a command ends: with an exit code, or as the program did that it ran. */
export type CommandEnd = ExitCode | { readonly code: number } | { readonly signal: NodeJS.Signals }

export type CommandBody<S extends CommandSpec> = (
  args: ArgumentsOf<S>,
  context: Context,
) => Promise<CommandEnd>
