import type { Scope } from '../authority/scope.ts'
import { anchorOf, type StoreChange } from '../trust/machine-stores.ts'
import type { StoreOutcome } from '../trust/stores.ts'
import { exitCodes, type ExitCode } from './command.ts'
import { scopeText } from './describe.ts'
import { dim, green, linesOf, red, tableWithHints, type Line } from './lines.ts'
import type { Output } from './output.ts'

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

/**
 * Returns a table with a row for each store and anchor. Anchors are named only when there are
 * several: those of `scopes` as these are, and others by their name in the stores.
 */
export function outcomeTable(
  outcomes: readonly StoreOutcome[],
  output: Output,
  scopes: readonly Scope[] = [],
): Line[] {
  const anchors = new Set(outcomes.map(({ anchor }) => anchor).filter((name) => name !== null))
  const names =
    anchors.size > 1
      ? new Map(scopes.map((scope) => [anchorOf(scope).name, scopeText(scope)]))
      : new Map<string, string>()
  const rows = outcomes.map(({ store, anchor, outcome, reason }) => {
    const bad = outcome === 'failed' || outcome === 'not-trusted'
    const mark = bad ? red('✗') : outcome === 'skipped' ? dim('–') : green('✓')
    const root = anchors.size > 1 ? [names.get(anchor ?? '') ?? anchor ?? ''] : []
    const why = outcome === 'was-absent' ? undefined : reason
    return [
      mark,
      store.title,
      ...root,
      why === undefined ? words[outcome] : output.paths(`${words[outcome]}: ${why}`),
    ]
  })
  const hints = outcomes.map(({ outcome, hint }) =>
    (outcome === 'failed' || outcome === 'not-trusted') && hint !== undefined
      ? [dim('→'), ` ${output.paths(output.hint(hint))}`]
      : null,
  )
  return tableWithHints(rows, hints, output.width)
}

/** Returns the exit code after a change of stores. */
export function changeExitCode(outcomes: readonly StoreOutcome[]): ExitCode {
  return outcomes.some(({ outcome }) => outcome === 'failed')
    ? exitCodes.someStoresFailed
    : exitCodes.ok
}

/** Says which stores failed, so that they may still hold a root; `null`: none did. */
export function holdersOf(outcomes: readonly StoreOutcome[]): string | null {
  const failed = outcomes.filter(({ outcome }) => outcome === 'failed')
  const titles = [...new Set(failed.map(({ store }) => store.title))]
  return titles.length === 0 ? null : `its root may still be in ${titles.join(', ')}`
}

/** Warns of the stores that may still hold a root whose files are deleted. */
export function warnOfHolders(outcomes: readonly StoreOutcome[], output: Output): void {
  const holders = holdersOf(outcomes)
  if (holders !== null)
    output.warn(
      `The key is gone, but ${holders}. Once that can be read again: rootling uninstall --all`,
    )
}

/** Returns a command as lines: the command itself is one, and so is each of its input's. */
export const commandLines = (command: string): string[] => {
  const [line = '', input] = command.split(/(?<= <<'EOF')\n/)
  return [line, ...(input === undefined ? [] : linesOf(input))]
}

/** Prints the result of a dry run and returns `true`. Returns `false` when it was not a dry run. */
export function printPlan({ plannedCommands, outcomes }: StoreChange, output: Output): boolean {
  if (plannedCommands === null) return false
  output.note(
    plannedCommands.length === 0
      ? 'No trust store would be changed.'
      : 'These commands would be run:',
  )
  const result = { dryRun: true, commands: plannedCommands, stores: outcomes }
  output.result(plannedCommands.flatMap(commandLines), result)
  for (const { store, outcome, reason = '', hint } of outcomes) {
    if (outcome !== 'failed') continue
    output.note(`${store.title} would fail: ${reason}`)
    if (hint !== undefined) output.note(`  → ${output.hint(hint)}`)
  }
  return true
}

/** The most paths that `noteLeft` names; with --json all are printed. */
const mostPaths = 20

/** Names what a deletion left, by default because Rootling did not write it. */
export function noteLeft(
  left: readonly string[],
  output: Output,
  title = 'Left, since Rootling deletes only what it wrote:',
): void {
  if (left.length === 0) return
  const more = left.length > mostPaths ? [`and ${left.length - mostPaths} more`] : []
  const list = [...left.slice(0, mostPaths).map((path) => output.path(path)), ...more]
  for (const line of [title, ...list.map((each) => `  ${each}`)]) output.note(line)
}
