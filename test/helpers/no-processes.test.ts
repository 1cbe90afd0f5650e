import cluster from 'node:cluster'
import * as childProcess from 'node:child_process'
import { afterEach, expect, test } from 'vitest'
import { refused } from './no-processes.ts'
import { run } from './subprocess.ts'

// Forgets what was refused, because it would fail this file, as it should any other.
afterEach(() => void refused.splice(0))

const sentence = /of "true": a unit test starts no process\. Name its file \*\.tools\.test\.ts/

test.each(['exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'spawn', 'spawnSync'] as const)(
  'a unit test that calls %s is told where it belongs',
  (name) => {
    expect(() => childProcess[name]('true')).toThrow(sentence)
    expect(refused).toEqual([expect.stringMatching(sentence)])
  },
)

test('so is one whose helper starts a program', async () => {
  await expect(run('true', [], {})).rejects.toThrow(sentence)
  expect(refused).toHaveLength(1)
})

test('and one of a cluster', () => {
  cluster.setupPrimary({ exec: 'true' })
  expect(() => cluster.fork()).toThrow(/a unit test starts no process/)
  expect(refused).toHaveLength(1)
})

test('what swallows the error is remembered, and fails the file', async () => {
  await Promise.resolve()
    .then(() => childProcess.spawn('true'))
    .catch(() => undefined)
  expect(refused).toEqual([expect.stringMatching(sentence)])
})
