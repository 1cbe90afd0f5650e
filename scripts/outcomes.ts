// A reporter of vitest's that counts what became of every test, for the closing line of `npm test`.
// Vitest's own counts a test as skipped also where a hook that failed left it undone.
import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import type { Reporter, SerializedError, TestCase, TestModule, TestSuite } from 'vitest/node'

/** A test, a suite or a file of tests, as far as it is counted. */
export interface Task {
  /** A file has its path, the others their full name. */
  readonly name: string
  /** Of a test: how it ended. `undone`: it was to run and did not. */
  readonly state?: 'passed' | 'failed' | 'skipped' | 'undone'
  /** Of a suite or a file: what failed in it outside its tests, as a hook or an import does. */
  readonly errors?: readonly string[]
  readonly tasks?: readonly Task[]
}

/** What a test counts as; `reason` is why one counts as failed that did not fail itself. */
interface Outcome {
  readonly name: string
  readonly state: 'passed' | 'failed' | 'skipped'
  readonly reason?: string
}

/**
 * One outcome a test. A test that was left undone counts as failed; an error outside the tests
 * that left none undone, such as one of `afterAll`, counts as one failure more.
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
 * The last lines of `npm test`: the tests that were skipped, the failures that no test shows, and
 * the sums. `failed` is their number.
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
    // A run of nothing proves nothing.
    failed: failed.length + (passed.length === 0 ? 1 : 0),
  }
}

/** Writes what `closingLines` gives, as JSON, to the file that ROOTLING_OUTCOMES names. */
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

/** One that is skipped while it runs, by `context.skip`, has to say why. */
function stateOf(test: TestCase): 'passed' | 'failed' | 'skipped' | 'undone' {
  const result = test.result()
  if (result.state === 'pending') return 'undone'
  const isUndone =
    result.state === 'skipped' && test.options.mode === 'run' && result.note === undefined
  return isUndone ? 'undone' : result.state
}
