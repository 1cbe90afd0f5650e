import { resolve } from 'node:path'
import { RootlingError } from '../../errors.ts'
import { stateDirectory, type StateDirectory } from '../../home/state-directory.ts'
import { settleInterrupted } from '../../storage/files/settle.ts'
import { adoptCaller } from '../caller.ts'
import type { Context } from '../context.ts'
import { completeCommands, type Selected } from '../hint.ts'
import { currentDirectory } from '../current-directory.ts'
import { createOutput, linePrinter } from '../output.ts'
import { endWith, standardError, standardOutput } from '../standard-streams.ts'
import { findLocalCa, openLocalCa, refuseKeyless } from './authority.ts'
import { FlagError, parseFlags, type Flags, type ParsedLine } from './flags.ts'
import { issueFiles } from './issue.ts'
import { installInStores, noteUntrusted, selectedKinds, uninstallFromStores } from './stores.ts'
import { usage } from './usage.ts'

/** The version of mkcert whose behaviour this program follows. */
const standsFor = '1.4.4'

/** Runs one mkcert command line; the only place that decides this program's exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  endWith(await run(argv))
}

/**
 * Returns the exit code. 0: everything that was asked for is done, 1: it is not, 2: the line was
 * not understood.
 */
async function run(argv: readonly string[]): Promise<0 | 1 | 2> {
  let line: ParsedLine
  try {
    line = parseFlags(argv)
  } catch (error) {
    if (!(error instanceof FlagError)) throw error
    say(error.message)
    standardError.write(usage)
    return 2
  }
  const { flags, names } = line
  if (flags.help === true || flags.h === true) return print(usage)
  if (flags.version === true) return print(`${standsFor} (Rootling ${VERSION})\n`)
  try {
    return (await work(flags, names)) ? 0 : 1
  } catch (error) {
    await explain(error)
    return 1
  }
}

function print(text: string): 0 {
  standardOutput.write(text)
  return 0
}

async function work(flags: Flags, names: readonly string[]): Promise<boolean> {
  refuseContradictions(flags, names)
  const state = await findState()
  if (flags.CAROOT === true) {
    linePrinter(standardOutput, process.env)([state.path])
    return true
  }
  const { install = false, uninstall = false, csr } = flags
  const issuing = names.length > 0 || csr !== undefined
  if (!install && !uninstall && !issuing) return print(usage) === 0
  const context = createContext(state)
  selectedKinds(context.env)
  await settleInterrupted(state, (sentence) => context.output.warn(sentence))
  if (uninstall) return uninstallFromStores(await findLocalCa(context), context)
  const ca = await openLocalCa(context)
  if (issuing) refuseKeyless(ca, context)
  const trusted = install ? await installInStores(ca, context) : true
  if (!install) await noteUntrusted(ca, context)
  if (issuing) await issueFiles(flags, names, ca, context)
  return trusted
}

function refuseContradictions(flags: Flags, names: readonly string[]): void {
  const { install = false, uninstall = false, CAROOT = false, csr } = flags
  const refuse = (sentence: string): never => {
    throw new RootlingError('usage', sentence)
  }
  if (CAROOT && (install || uninstall))
    refuse("you can't set -[un]install and -CAROOT at the same time")
  if (install && uninstall) refuse("you can't set -install and -uninstall at the same time")
  if (uninstall && names.length > 0) refuse('-uninstall takes no names')
  if (csr === undefined) return
  if (flags.pkcs12 === true || flags.ecdsa === true || flags.client === true)
    refuse('can only combine -csr with -install and -cert-file')
  if (flags['key-file'] !== undefined || flags['p12-file'] !== undefined)
    refuse('can only combine -csr with -install and -cert-file')
  if (names.length > 0) refuse("can't specify extra arguments when using -csr")
}

/** Returns `$CAROOT`, or else the directory in which the `rootling` command keeps its CA. */
async function findState(): Promise<StateDirectory> {
  const owner = await adoptCaller()
  const directory = process.env['CAROOT'] ?? ''
  return directory === '' ? stateDirectory(process.env, owner) : { path: resolve(directory), owner }
}

/** Returns what makes the `rootling` command find the same CA. */
function selected(): Selected {
  const directory = process.env['CAROOT'] ?? ''
  return { home: directory === '' ? process.env['ROOTLING_HOME'] : resolve(directory) }
}

function createContext(state: StateDirectory): Context {
  const { env } = process
  return {
    env,
    callerEnv: env,
    get cwd() {
      return currentDirectory()
    },
    state,
    output: createOutput({ json: false, quiet: false, env, selected: selected() }),
    get interactive() {
      return process.stdin.isTTY && standardError.isTTY
    },
    now: () => new Date(),
  }
}

const printError = linePrinter(standardError, process.env)
const say = (text: string): void => printError([text])

async function explain(error: unknown): Promise<void> {
  const known = error instanceof RootlingError
  const sentence = error instanceof Error ? error.message : String(error)
  const said = known ? sentence : `Something unexpected happened: ${sentence}.`
  say(`ERROR: ${said}`)
  if (known && error.hint !== undefined) say(`  → ${completeCommands(error.hint, selected())}`)
  if (process.env['ROOTLING_DEBUG'] === '1') (await import('../debug.ts')).printDetails(error)
}
