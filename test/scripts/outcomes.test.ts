import { expect, test } from 'vitest'
import { closingLines, type Task } from '../../scripts/outcomes.ts'

const passed: Task = { name: 'p', state: 'passed' }
const failed: Task = { name: 'f', state: 'failed' }
const skipped: Task = { name: 's [no such tool]', state: 'skipped' }
const undone = (name: string): Task => ({ name, state: 'undone' })

test('counts what passed, failed and was skipped, and names what was skipped', () => {
  const suite = { name: 'suite', tasks: [passed, failed, skipped] }
  expect(closingLines([{ name: 'a.test.ts', tasks: [passed, suite] }])).toEqual({
    lines: ['skipped: s [no such tool]', '2 passed, 1 failed, 1 skipped'],
    failed: 1,
  })
})

test('what a failed hook left undone has failed, and what was skipped anyway has not', () => {
  const inner = { name: 'suite > inner', tasks: [undone('c')] }
  const suite = { name: 'suite', errors: ['boom\nat line 1'], tasks: [undone('b'), skipped, inner] }
  expect(closingLines([{ name: 'a.test.ts', tasks: [passed, suite] }])).toEqual({
    lines: [
      'skipped: s [no such tool]',
      'failed: b (suite: boom)',
      'failed: c (suite: boom)',
      '1 passed, 2 failed, 1 skipped',
    ],
    failed: 2,
  })
})

test('a hook that failed after the tests counts as one failure, and so does a file that cannot be read', () => {
  const files = [
    { name: 'after.test.ts', errors: ['late'], tasks: [passed] },
    { name: 'import.test.ts', errors: ['no such module'], tasks: [] },
    { name: 'outside of every test', errors: [], tasks: [] },
  ]
  expect(closingLines(files)).toEqual({
    lines: [
      'failed: after.test.ts (late)',
      'failed: import.test.ts (no such module)',
      '1 passed, 2 failed, 0 skipped',
    ],
    failed: 2,
  })
})

test('a run that ended before its time has failed, and one of nothing too', () => {
  expect(closingLines([{ name: 'a.test.ts', tasks: [passed, undone('b')] }])).toEqual({
    lines: ['failed: b (it was not run)', '1 passed, 1 failed, 0 skipped'],
    failed: 1,
  })
  expect(closingLines([])).toEqual({ lines: ['0 passed, 0 failed, 0 skipped'], failed: 1 })
})
