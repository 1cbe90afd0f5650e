import childProcess, { ChildProcess } from 'node:child_process'
import { syncBuiltinESMExports } from 'node:module'
import { afterAll } from 'vitest'

// A setup file of the project `unit`, which starts no process: to try is an error, and fails the
// file also where the code under test swallowed it.

/** The sentences of what was refused in this file so far. */
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
// What Node's own modules start, as node:cluster does.
Object.assign(ChildProcess.prototype, { spawn: refuse('spawn') })
syncBuiltinESMExports()

afterAll(() => {
  if (refused.length > 0) throw new Error(refused.join('\n'))
})
