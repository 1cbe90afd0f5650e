import childProcess, { ChildProcess } from 'node:child_process'
import { syncBuiltinESMExports } from 'node:module'
import { afterAll } from 'vitest'

// The setup file of the project `unit`, whose tests start no process. Starting one throws, and
// fails the test file even when the code under test swallows the error.

/** The messages of the calls that were refused in this test file so far. */
export const refused: string[] = []

function refuse(what: string) {
  return (...args: readonly unknown[]): never => {
    const said =
      `${what} of ${JSON.stringify(args[0])}: a unit test starts no process. ` +
      'Name its file *.tools.test.ts, *.machine.test.ts or *.long.test.ts.'
    refused.push(said)
    throw new Error(said)
  }
}

const names = [
  'exec',
  'execFile',
  'execFileSync',
  'execSync',
  'fork',
  'spawn',
  'spawnSync',
] as const
for (const name of names) Object.assign(childProcess, { [name]: refuse(name) })
// Also refuses the processes that Node's own modules start, such as node:cluster.
Object.assign(ChildProcess.prototype, { spawn: refuse('spawn') })
syncBuiltinESMExports()

afterAll(() => {
  if (refused.length > 0) throw new Error(refused.join('\n'))
})
