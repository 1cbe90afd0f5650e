import {
  chownSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readSmall } from '../../src/doctor/checks/read.ts'
import { otherTools } from '../../src/doctor/other-tools.ts'
import { settingsFiles } from '../../src/doctor/settings.ts'
import { foreignRoot } from '../project/foreign-roots.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { runTool } from '../helpers/tools.ts'

const isRoot = process.getuid?.() === 0
const windows = process.platform === 'win32'

/** What `kept` of portless says of a directory where a file of its root should be. */
async function portless(put: (path: string) => unknown) {
  const home = await temporaryDirectory()
  const path = join(home, 'ca.pem')
  await put(path)
  const tool = otherTools.find(({ name }) => name === 'portless')
  const person = { home, uid: process.getuid?.() ?? -1 }
  return tool?.kept({ PORTLESS_STATE_DIR: home }, person)
}

describe('the file of another tool', () => {
  test('is read', async () => {
    const { pem } = await foreignRoot('local')
    expect((await portless((path) => writeFileSync(path, pem)))?.size).toBe(1)
    expect((await portless(() => undefined))?.size).toBe(0)
  })

  test.each([
    ['a link to what never ends', (path: string) => symlinkSync('/dev/zero', path)],
    ['a directory', (path: string) => mkdirSync(path)],
    [
      'too large',
      (path: string) => {
        writeFileSync(path, '')
        truncateSync(path, 2 * 1024 * 1024)
      },
    ],
  ])('that is %s is not read', async (_title, put) => {
    expect(await portless(put)).toBeNull()
  })

  test.skipIf(!isRoot || windows)('that belongs to a third user is not read', async () => {
    const { pem } = await foreignRoot('local')
    const kept = await portless((path) => {
      writeFileSync(path, pem)
      chownSync(path, 4321, 4321)
    })
    expect(kept).toBeNull()
  })

  test.skipIf(windows)('that is a pipe is not waited for', async () => {
    const made = async (path: string) => {
      await runTool('mkfifo', [path])
      // Lets a reader go that waits all the same, so that the process can end.
      onTestFinished(() => {
        try {
          closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK))
        } catch {
          rmSync(path, { force: true })
        }
      })
    }
    expect(await portless(made)).toBeNull()
    const pipe = join(await temporaryDirectory(), 'pipe')
    await made(pipe)
    expect(await readSmall(pipe)).toBeNull()
  })
})

test('reads settings with a long line that holds a CR in no longer than seconds', () => {
  const started = performance.now()
  for (const { read } of settingsFiles)
    for (const word of ['cacert', 'cafile=', 'cert:', 'sslCAInfo =', 'cainfo =', 'check'])
      read(`[http]\n${word}${' '.repeat(200_000)}x\ry`)
  expect(performance.now() - started).toBeLessThan(10_000)
}, 120_000)
