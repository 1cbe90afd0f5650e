// A vitest reporter that counts how every test ended, for the closing line of `npm test`. Vitest's
// own count takes a test for skipped also when it was not run because a hook failed.
import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import type { Reporter, SerializedError, TestCase, TestModule, TestSuite } from 'vitest/node'

/** What the count needs of a test, a suite or a file of tests. */
export interface Task {
  /** The path of a file; the full name of a test or a suite. */
  readonly name: string
  /** How a test ended; only tests have it. `undone`: the test should have run and did not. */
  readonly state?: 'passed' | 'failed' | 'skipped' | 'undone'
  /** The errors of a suite or a file outside its tests, such as those of a hook or an import. */
  readonly errors?: readonly string[]
  readonly tasks?: readonly Task[]
}

/** How a test is counted. `reason` says why a test that did not fail itself counts as failed. */
interface Outcome {
  readonly name: string
  readonly state: 'passed' | 'failed' | 'skipped'
  readonly reason?: string
}

/**
 * Returns one outcome for each test. A test that was left undone counts as failed. An error outside
 * the tests that left none undone, such as an error in `afterAll`, counts as one more failure.
 */
function outcomesOf({ name, state, errors = [], tasks = [] }: Task, above?: string): Outcome[] {
  if (state === 'undone') return [{ name, state: 'failed', reason: above ?? 'it was not run' }]
  if (state !== undefined) return [{ name, state }]
  const [error] = errors
  const reason = error === undefined ? above : `${name}: ${error}`
  const outcomes = tasks.flatMap((task) => outcomesOf(task, reason))
  if (error === undefined || outcomes.some((outcome) => outcome.reason === reason)) return outcomes
  return [...outcomes, { name, state: 'failed', reason: error }]
}

/**
 * Returns the last lines of `npm test`: the tests that were skipped, the failures that vitest shows
 * at no test, and the sums. `failed` is the number of failures, and more than 0 when no test
 * passed.
 */
export function closingLines(tasks: readonly Task[]): { lines: string[]; failed: number } {
  const outcomes = tasks.flatMap((task) => outcomesOf(task))
  const of = (state: Outcome['state']) => outcomes.filter((outcome) => outcome.state === state)
  const [passed, failed, skipped] = [of('passed'), of('failed'), of('skipped')]
  const unseen = failed.filter(({ reason }) => reason !== undefined)
  return {
    lines: [
      ...skipped.map(({ name }) => `skipped: ${name}`),
      ...unseen.map(({ name, reason = '' }) => `failed: ${name} (${reason.split('\n')[0]})`),
      `${passed.length} passed, ${failed.length} failed, ${skipped.length} skipped`,
    ],
    // A run in which no test passed proves nothing, so it counts as failed.
    failed: failed.length + (passed.length === 0 ? 1 : 0),
  }
}

/** Writes what `closingLines` returns, as JSON, to the file that ROOTLING_OUTCOMES names. */
export default class implements Reporter {
  onTestRunEnd(files: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const path = process.env['ROOTLING_OUTCOMES']
    if (path === undefined) return
    const outside = { name: 'outside of every test', errors: unhandled.map((e) => e.message) }
    writeFileSync(path, JSON.stringify(closingLines([...files.map(taskOf), outside])))
  }
}

function taskOf(task: TestModule | TestSuite | TestCase): Task {
  if (task.type === 'test') return { name: task.fullName, state: stateOf(task) }
  return {
    name: task.type === 'module' ? relative(process.cwd(), task.moduleId) : task.fullName,
    errors: task.errors().map(({ message }) => message),
    tasks: task.children.array().map(taskOf),
  }
}

/**
 * Returns how a test ended. A test that skips itself while it runs, with `context.skip`, must say
 * why; without a reason it counts as undone.
 */
function stateOf(test: TestCase): 'passed' | 'failed' | 'skipped' | 'undone' {
  const result = test.result()
  if (result.state === 'pending') return 'undone'
  const isUndone =
    result.state === 'skipped' && test.options.mode === 'run' && result.note === undefined
  return isUndone ? 'undone' : result.state
}
