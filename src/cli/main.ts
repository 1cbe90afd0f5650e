import { RootlingError, type ErrorCode } from '../errors.ts'
import { stateDirectory } from '../home/state-directory.ts'
import { settleInterrupted } from '../storage/files/unfinished-writes.ts'
import { syncInPlace } from '../files/sync-fs.ts'
import { adoptCaller } from './caller.ts'
import {
  exitCodes,
  type ArgumentsOf,
  type CommandBody,
  type CommandSpec,
  type ExitCode,
} from './command.ts'
import { createOutput, type Output } from './output.ts'
import { parseLine, type Parsed } from './parse.ts'
import { endWith, openStreams } from './standard-streams.ts'
import { commandOf, type commands } from './table.ts'

/** Runs one command line; the only place that decides the process's exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  endWith(await run(argv))
}

async function run(argv: readonly string[]): Promise<ExitCode> {
  const { row, rest } = findCommand(argv)
  const output = createOutput({
    json: argv.includes('--json'),
    quiet: argv.includes('--quiet') || argv.includes('-q'),
    env: process.env,
    selected: { home: process.env['ROOTLING_HOME'], authority: valueAfter('--ca', argv) },
  })
  try {
    const parsed = row === undefined ? null : parseLine(row.spec, rest)
    if (row === undefined || parsed === null) {
      const { explain } = await import('./yargs.ts')
      openStreams()
      const named = row === undefined || rest !== argv
      const fromYargs = await explain(named ? argv : [row.spec.name, ...argv])
      if (fromYargs === null) return exitCodes.ok
      return await execute(fromYargs.row, fromYargs.parsed, output)
    }
    return await execute(row, parsed, output)
  } catch (error) {
    if (process.env['ROOTLING_DEBUG'] !== '1') return reportFailure(error, output)
    const { printDetails } = await import('./debug.ts')
    const code = reportFailure(error, output)
    printDetails(error)
    return code
  }
}

function valueAfter(option: string, argv: readonly string[]): string | undefined {
  const joined = argv.find((word) => word.startsWith(`${option}=`))
  return joined?.slice(option.length + 1) ?? argv[argv.indexOf(option) + 1 || argv.length]
}

type Row = (typeof commands)[number]

/**
 * Finds the command that the first one or two words name, after options that every command has.
 * When they name none and the first word looks like a host or is an option of `issue`, the command
 * is `issue`. `rest` are the words beside the command's name.
 */
function findCommand(argv: readonly string[]): { row: Row | undefined; rest: readonly string[] } {
  const count = leadingOptions(argv)
  const words = count === 0 ? argv : argv.slice(count)
  const row = commandOf(words)
  if (row !== undefined) {
    const rest = words.slice(row.spec.name.split(' ').length)
    return { row, rest: count === 0 ? rest : [...argv.slice(0, count), ...rest] }
  }
  const [first = ''] = words
  const issue = commandOf(['issue'])
  const isOption = Object.hasOwn(issue?.spec.options ?? {}, /^--([^=]+)/.exec(first)?.[1] ?? '')
  return { row: isOption || looksLikeName(first) ? issue : undefined, rest: argv }
}

/** How many words at the beginning are options that every command has, and their values. */
function leadingOptions(argv: readonly string[]): number {
  let count = 0
  for (;;) {
    const word = argv[count] ?? ''
    if (word === '--json' || word === '--quiet' || word === '-q' || word.startsWith('--ca='))
      count++
    else if (word === '--ca' && argv.length > count + 1) count += 2
    else return count
  }
}

/**
 * Whether a word looks like a name to issue for, which may be given without a command, as to
 * mkcert. A word without any of these characters may be a mistyped command.
 */
function looksLikeName(word: string): boolean {
  return word === 'localhost' || /[.:@*]/.test(word)
}

async function execute(row: Row, parsed: Parsed, output: Output): Promise<ExitCode> {
  if (row.longRunning === true) openStreams()
  else syncInPlace()
  const body = (await row.load()) as CommandBody<CommandSpec>
  const owner = await adoptCaller()
  const authority = typeof parsed['ca'] === 'string' ? parsed['ca'] : undefined
  const state = stateDirectory(process.env, owner, authority)
  await settleInterrupted(state)
  return body(parsed as ArgumentsOf<CommandSpec>, {
    env: process.env,
    cwd: process.cwd(),
    state,
    output,
    // A getter, so that it is computed only when needed: opening standard input takes a
    // millisecond.
    get interactive() {
      return process.stdin.isTTY && process.stderr.isTTY && !output.json
    },
    now: () => new Date(),
  })
}

const exitCodeOf: Partial<Record<ErrorCode, ExitCode>> = {
  usage: exitCodes.usage,
  'bad-name': exitCodes.usage,
  'store-failed': exitCodes.someStoresFailed,
  'not-trusted': exitCodes.notTrusted,
  cancelled: exitCodes.cancelled,
}

function reportFailure(error: unknown, output: Output): ExitCode {
  if (error instanceof RootlingError) {
    output.fail(error)
    return exitCodeOf[error.code] ?? exitCodes.failed
  }
  const sentence = `Something unexpected happened: ${error instanceof Error ? error.message : String(error)}.`
  output.fail(
    new RootlingError('internal', sentence, {
      hint: 'This is a defect: please report it with the output of ROOTLING_DEBUG=1',
    }),
  )
  return exitCodes.failed
}
