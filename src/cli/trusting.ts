import { findTrustStores } from '../../platform/index.ts'
import { createMachine, type Machine } from '../../platform/machine.ts'
import { installTool, type Tool } from '../../platform/packages.ts'
import { createAnchor } from '../../platform/pem.ts'
import {
  storeKinds,
  type StoreKind,
  type TrustAnchor,
  type TrustStore,
} from '../../platform/trust-store.ts'
import type { Scope } from '../authority/scope.ts'
import { expiryWarning } from '../authority/signer.ts'
import { RootlingError } from '../errors.ts'
import { withLock } from '../files/lock.ts'
import { rootPath } from '../storage/files/scopes.ts'
import type { StoreOutcome } from '../trust/stores.ts'
import { confirm } from './ask.ts'
import { exitCodes, type ExitCode } from './command.ts'
import type { Context } from './context.ts'
import { table, type Output } from './output.ts'

/** The options that every command which changes trust stores takes. */
export interface StoreArguments {
  readonly stores?: string | undefined
  readonly scope?: 'user' | 'system' | undefined
  readonly 'dry-run'?: boolean | undefined
  readonly yes?: boolean | undefined
  readonly 'no-sudo'?: boolean | undefined
}

export interface Stores {
  readonly machine: Machine
  readonly stores: readonly TrustStore[]
  /** Finds them anew, as after a tool was installed. */
  readonly again: () => Promise<readonly TrustStore[]>
}

/** The stores of this machine that `--stores` selects; `planned` are roots of a dry run alone. */
export async function openStores(
  args: StoreArguments,
  context: Context,
  scopes: readonly Scope[],
  planned: readonly TrustAnchor[] = [],
): Promise<Stores> {
  const { output, now } = context
  for (const scope of scopes) {
    const warning = expiryWarning(scope, now())
    if (warning !== null) output.warn(warning)
  }
  const kinds = parseKinds(args.stores)
  const machine = await createMachine({
    env: context.env,
    dryRun: args['dry-run'] === true,
    sudo: args['no-sudo'] === true ? 'forbidden' : 'allowed',
    interactive: context.interactive && args.yes !== true,
    knownFiles: new Map([
      ...scopes.map(({ root, rootPath: path }) => [root.toString(), path] as const),
      ...planned.map(({ pem }) => [pem, rootPath(context.state, 'NEW')] as const),
    ]),
    onPrompt: (sentence) => output.note(`To write to this machine's trust stores, ${sentence}`),
  })
  const { scope } = args
  const again = async (): Promise<readonly TrustStore[]> => {
    const stores = await findTrustStores(machine, process.platform, { storeScope: scope })
    return stores.filter(({ kind }) => kinds.includes(kind))
  }
  return { machine, stores: await again(), again }
}

/** Whether the person is to be asked before something is deleted. */
export function mayAsk(args: StoreArguments, { interactive }: Context): boolean {
  return interactive && args.yes !== true && args['dry-run'] !== true
}

/** While no other rootling changes trust stores, which takes minutes where dialogs open. */
export function withStoresLock<T>({ state }: Context, work: () => Promise<T>): Promise<T> {
  return withLock(state, work, { name: 'stores.lock', waitMilliseconds: 300_000 })
}

/** The kinds that `--stores` names; throws `usage`, so ask before anything is changed. */
export function parseKinds(list: string | undefined): readonly StoreKind[] {
  if (list === undefined) return storeKinds
  const words = list.split(',').map((word) => word.trim())
  for (const word of words)
    if (!(storeKinds as readonly string[]).includes(word))
      throw new RootlingError('usage', `--stores ${list}: there is no kind of store "${word}".`, {
        hint: `--stores ${storeKinds.join(',')}`,
      })
  return storeKinds.filter((kind) => words.includes(kind))
}

/** The root of a scope as trust stores see it. */
export function anchorOf({ root }: Scope): TrustAnchor {
  return createAnchor(root.raw)
}

/**
 * The stores, after installing what they lack to be written, such as certutil: with `--yes`, or
 * when the person agrees. What is not installed comes out as that store's failure, with the
 * command in its hint.
 */
export async function equipStores(
  { machine, stores, again }: Stores,
  args: StoreArguments,
  { output, interactive }: Context,
): Promise<readonly TrustStore[]> {
  const missing = new Map<string, string>()
  for (const store of stores) {
    const answer = await store.availability()
    if (!answer.available && answer.tool?.install != null)
      missing.set(answer.tool.program, `${answer.reason} ${answer.hint ?? ''}`.trim())
  }
  let installed = false
  for (const [program, reason] of missing) {
    const agreed =
      args.yes === true ||
      machine.dryRun ||
      (interactive && (await confirm(`${reason}\nInstall ${program} now?`)))
    if (!agreed) continue
    output.note(`Installing ${program}…`)
    try {
      await installTool(machine, program as Tool)
      installed = true
    } catch (error) {
      if (!(error instanceof RootlingError)) throw error
      output.warn(`${program} could not be installed: ${error.message}`)
    }
  }
  return installed && !machine.dryRun ? again() : stores
}

const words: Record<StoreOutcome['outcome'], string> = {
  installed: 'installed',
  'already-installed': 'already installed',
  removed: 'removed',
  'was-absent': 'was not there',
  trusted: 'trusted',
  'not-trusted': 'not trusted',
  'would-install': 'would be installed',
  'would-remove': 'would be removed',
  skipped: 'skipped',
  failed: 'FAILED',
}

/** One line a store and anchor; the anchor is named where there are several. */
export function outcomeTable(outcomes: readonly StoreOutcome[], { style }: Output): string {
  const anchors = new Set(outcomes.map(({ anchor }) => anchor).filter((name) => name !== null))
  const rows = outcomes.flatMap(({ store, anchor, outcome, reason, hint }) => {
    const bad = outcome === 'failed' || outcome === 'not-trusted'
    const mark = bad ? style.red('✗') : outcome === 'skipped' ? style.dim('–') : style.green('✓')
    const root = anchors.size > 1 ? [anchor ?? ''] : []
    const why = outcome === 'was-absent' ? undefined : reason
    const lines = [
      [
        mark,
        store.title,
        ...root,
        why === undefined ? words[outcome] : `${words[outcome]}: ${why}`,
      ],
    ]
    if (bad && hint !== undefined)
      lines.push(['', '', ...root.map(() => ''), `${style.dim('→')} ${hint}`])
    return lines
  })
  return table(rows)
}

/** What the outcomes mean for the exit code after a change. */
export function changeExitCode(outcomes: readonly StoreOutcome[]): ExitCode {
  return outcomes.some(({ outcome }) => outcome === 'failed')
    ? exitCodes.someStoresFailed
    : exitCodes.ok
}

/** The planned commands of a dry run, as the command's result. */
export function printPlan(
  machine: Machine,
  output: Output,
  outcomes: readonly StoreOutcome[],
): void {
  const commands = machine.planned
  output.note(commands.length === 0 ? 'Nothing would be changed.' : 'These commands would be run:')
  output.result(commands.join('\n'), { dryRun: true, commands, stores: outcomes })
}
