import { expect, test } from 'vitest'
import { isWithin, median, quantile, ratioOf, type Row } from '../../scripts/bench/benchmark.ts'
import { ensureBuilt, project } from '../helpers/built.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'

// What is measured is not judged here: a machine that runs tests is a busy one.

interface Judged extends Row {
  readonly ratio: number | null
  readonly ok: boolean | null
}

const bench = (args: readonly string[]) => {
  ensureBuilt()
  const script = 'scripts/bench/run.mjs'
  return run('env', [`--chdir=${project}`, process.execPath, script, ...args], environment)
}
const environment = scrubbedEnvironment('/tmp')

test('npm run bench measures us and a peer, and gives both and their ratio as JSON', async () => {
  const { exitCode, stdout, stderr } = await bench(['--quick', '--json', '--only', 'issuing'])
  expect(exitCode, stderr).toBe(0)
  const { rows } = JSON.parse(stdout) as { rows: Judged[] }
  expect(rows.map(({ name }) => name)).toEqual([
    'issue in process',
    'longest wait while an RSA key is made',
  ])
  const [issuing] = rows
  expect(issuing?.ours).toBeGreaterThan(0)
  expect(issuing?.ratio).toBeCloseTo((issuing?.ours ?? 0) / (issuing?.peer?.value ?? 0))
  expect(issuing?.ok).toBe((issuing?.ratio ?? 0) >= 0.6)
})

test('a benchmark that is not there is named as such, with those that are', async () => {
  const { exitCode, stderr } = await bench(['--quick', '--only', 'zebra'])
  expect(exitCode).toBe(1)
  expect(stderr).toContain(
    'No benchmark has such a name: start-up, standalone, run, issuing, ephemeral, library, record, acme',
  )
})

test('bars are held against the ratio, or against our own figure where there is no peer', () => {
  const row: Row = { name: 'x', unit: 'ms', ours: 30, peer: { name: 'y', value: 10 }, bar: null }
  expect([ratioOf(row), isWithin(row)]).toEqual([3, null])
  expect(isWithin({ ...row, bar: { at: 'most', value: 3 } })).toBe(true)
  expect(isWithin({ ...row, bar: { at: 'most', value: 2.9 } })).toBe(false)
  expect(isWithin({ ...row, bar: { at: 'least', value: 3.1 } })).toBe(false)
  expect(isWithin({ ...row, peer: null, bar: { at: 'most', value: 30 } })).toBe(true)
  expect([median([9, 1, 5]), quantile([1, 2, 3, 4], 0.95)]).toEqual([5, 4])
  expect(() => median([])).toThrow('nothing was measured')
})
