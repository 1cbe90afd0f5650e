// A reporter of vitest's: what became of every test, as `npm test` counts it. Vitest's own report
// calls a test skipped when the hook before it failed.
import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import type { Reporter, SerializedError, TestCase, TestModule, TestSuite } from 'vitest/node'

export type Outcome = 'passed' | 'failed' | 'skipped'

/** One test, or one failure outside any test; `reason` is why it counts as failed unseen. */
export interface OutcomeRow {
  readonly name: string
  readonly outcome: Outcome
  readonly reason?: string
}

/** What the reporter asks of a test, a suite or a file; vitest's objects fit it. */
export interface TestTree {
  readonly type: 'module' | 'suite' | 'test'
  /** A file has its path, the others their full name. */
  readonly name: string
  /** Of a test: how it ended. `undone`: it was to run and did not. */
  readonly state?: Outcome | 'undone'
  /** Of a suite or a file: messages of what failed in it outside its tests. */
  readonly errors?: readonly string[]
  readonly children?: readonly TestTree[]
}

/**
 * One row a test. A test that a failed hook, a failed import or an end before its time left undone
 * counts as failed; a hook that failed and left nothing undone, as after the tests, counts as one.
 */
export function outcomesOf(tree: TestTree, above: string | null = null): OutcomeRow[] {
  const { name, state, errors = [], children = [] } = tree
  if (state === 'undone')
    return [{ name, outcome: 'failed', reason: above ?? 'it was left undone' }]
  if (state !== undefined) return [{ name, outcome: state }]
  const [error] = errors
  const reason = error === undefined ? above : `${name}: ${error}`
  const rows = children.flatMap((child) => outcomesOf(child, reason))
  if (error !== undefined && !rows.some((row) => row.reason?.startsWith(`${name}: `)))
    rows.push({ name, outcome: 'failed', reason: error })
  return rows
}

/** The last lines of `npm test`: what was skipped, what counts as failed unseen, and the sums. */
export function closingLines(rows: readonly OutcomeRow[]): string[] {
  const count = (wanted: Outcome) => rows.filter(({ outcome }) => outcome === wanted).length
  return [
    ...rows.filter(({ outcome }) => outcome === 'skipped').map(({ name }) => `skipped: ${name}`),
    ...rows.flatMap(({ name, reason }) =>
      reason === undefined ? [] : [`failed: ${name} (${reason})`],
    ),
    `${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`,
  ]
}

export default class implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const rows = modules.flatMap((module) => outcomesOf(treeOf(module)))
    for (const { message } of unhandled)
      rows.push({ name: 'outside every test', outcome: 'failed', reason: message })
    const path = process.env['ROOTLING_OUTCOMES']
    if (path !== undefined) writeFileSync(path, JSON.stringify({ rows, lines: closingLines(rows) }))
  }
}

function treeOf(task: TestModule | TestSuite | TestCase): TestTree {
  if (task.type === 'test') {
    const result = task.result()
    const undone =
      result.state === 'pending' ||
      (result.state === 'skipped' && task.options.mode === 'run' && result.note === undefined)
    return {
      type: 'test',
      name: task.fullName,
      state: result.state === 'pending' || undone ? 'undone' : result.state,
    }
  }
  const name = task.type === 'module' ? relative(process.cwd(), task.moduleId) : task.fullName
  const errors = task.errors().map(({ message }) => message)
  return { type: task.type, name, errors, children: task.children.array().map(treeOf) }
}
