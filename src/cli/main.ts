import { RootlingError, UnknownName, type ErrorCode } from '../errors.ts'
import { stateDirectory, type StateDirectory } from '../home/state-directory.ts'
import { settleInterrupted } from '../storage/files/settle.ts'
import { syncInPlace } from '../files/sync-fs.ts'
import { adoptCaller } from './caller.ts'
import {
  exitCodes,
  type ArgumentsOf,
  type CommandBody,
  type CommandEnd,
  type CommandSpec,
  type ExitCode,
} from './command.ts'
import { findCommand, withPassedOn } from './line.ts'
import { currentDirectory } from './current-directory.ts'
import { createOutput, type Output } from './output.ts'
import { parseLine, type Parsed } from './parse.ts'
import { endBy, endWith, isTerminal, openStreams, standardOutput } from './standard-streams.ts'
import type { commands } from './table.ts'

/** Runs one command line; the only place that decides the process's exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  const end = await run(withPassedOn(argv))
  if (typeof end === 'number') endWith(end)
  else if ('code' in end) endWith(end.code)
  else endBy(end.signal)
}

async function run(argv: readonly string[]): Promise<CommandEnd> {
  const words = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv
  let output = outputFor({
    json: words.includes('--json'),
    quiet: words.includes('--quiet') || words.includes('-q'),
    ca: valueAfter('--ca', words),
  })
  try {
    const { row, rest } = findCommand(argv)
    const parsed = row === undefined ? null : parseLine(row.spec, rest)
    const line = row === undefined || parsed === null ? await explainLine(argv) : { row, parsed }
    if (line === null) return exitCodes.ok
    output = outputFor(line.parsed)
    return await execute(line.row, line.parsed, output)
  } catch (error) {
    if (process.env['ROOTLING_DEBUG'] !== '1') return reportFailure(error, output)
    const { printDetails } = await import('./debug.ts')
    const code = reportFailure(error, output)
    printDetails(error)
    return code
  }
}

function outputFor({ json, quiet, ca }: Readonly<Record<string, unknown>>): Output {
  return createOutput({
    json: json === true,
    quiet: quiet === true,
    env: process.env,
    selected: {
      home: process.env['ROOTLING_HOME'],
      authority: typeof ca === 'string' ? ca : undefined,
    },
  })
}

/**
 * Answers a line that asks for help or the version, and explains any other that is not well-formed.
 * `null`: what was asked for was printed. Throws `usage`.
 */
async function explainLine(argv: readonly string[]): Promise<{ row: Row; parsed: Parsed } | null> {
  const { answerQuestion } = await import('./help.ts')
  const answer = answerQuestion(argv)
  if (answer !== null) {
    standardOutput.write(answer)
    return null
  }
  const { explain } = await import('./yargs.ts')
  openStreams()
  return explain(argv)
}

function valueAfter(option: string, argv: readonly string[]): string | undefined {
  const joined = argv.find((word) => word.startsWith(`${option}=`))
  return joined?.slice(option.length + 1) ?? argv[argv.indexOf(option) + 1 || argv.length]
}

type Row = (typeof commands)[number]

async function execute(row: Row, parsed: Parsed, output: Output): Promise<CommandEnd> {
  // What follows changes some variables for the person behind sudo.
  const callerEnv = row.spec.passesOn === true ? { ...process.env } : process.env
  if (row.longRunning === true) openStreams()
  else syncInPlace()
  const body = (await row.load()) as CommandBody<CommandSpec>
  const state = row.stateless === true ? noState : await settledState(parsed, output)
  return body(parsed as ArgumentsOf<CommandSpec>, {
    env: process.env,
    callerEnv,
    get cwd() {
      return currentDirectory()
    },
    state,
    output,
    // A getter, so that it is computed only when needed: opening standard input takes a
    // millisecond.
    get interactive() {
      return !output.json && isTerminal(2) && isTerminal(0)
    },
    now: () => new Date(),
  })
}

/** Of a command that has nothing to do with an authority, and must not fail because of one. */
const noState: StateDirectory = { path: '', owner: null }

async function settledState(parsed: Parsed, output: Output): Promise<StateDirectory> {
  const owner = await adoptCaller()
  // A team's server keeps its state in a database, and asks for a place of its own for the socket alone.
  if (typeof parsed['socket'] === 'string') return { ...noState, owner }
  const authority = typeof parsed['ca'] === 'string' ? parsed['ca'] : undefined
  if (typeof parsed['home'] === 'string') process.env['ROOTLING_HOME'] = parsed['home']
  const state = await stateDirectory(process.env, owner, authority)
  await settleInterrupted(state, (sentence) => output.warn(sentence))
  return state
}

const exitCodeOf: Partial<Record<ErrorCode, ExitCode>> = {
  usage: exitCodes.usage,
  'bad-name': exitCodes.usage,
  'bad-project': exitCodes.usage,
  'approval-needed': exitCodes.approvalNeeded,
  'store-failed': exitCodes.someStoresFailed,
  'not-trusted': exitCodes.notTrusted,
  cancelled: exitCodes.cancelled,
}

function reportFailure(error: unknown, output: Output): ExitCode {
  if (error instanceof RootlingError) {
    output.fail(error)
    if (error instanceof UnknownName) return exitCodes.usage
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
