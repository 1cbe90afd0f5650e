import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ensureAuthority, permitScope } from '../../src/authority/create.ts'
import { deleteAuthority, forgetScope } from '../../src/authority/delete.ts'
import { issue } from '../../src/certificates/issue.ts'
import { renew } from '../../src/certificates/renew.ts'
import { createLog, logPath, openTail } from '../../src/daemon/log-file.ts'
import { openJournal, readJournal } from '../../src/files/journal.ts'
import { withLock } from '../../src/files/lock.ts'
import { settleInterrupted } from '../../src/storage/files/settle.ts'
import { treeOf } from '../helpers/tree.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'
import { likeWindows } from '../helpers/windows-files.ts'

const now = new Date()

async function withAuthority() {
  const state = await temporaryState()
  await ensureAuthority(state, now)
  const outDir = await temporaryDirectory()
  return {
    state,
    outDir,
    issue: () => issue(state, { names: ['localhost'], files: { outDir } }, now),
  }
}

describe('where stat knows no device', () => {
  test('a lock is taken at once', async () => {
    const state = await temporaryState()
    likeWindows()
    expect(await withLock(state, async () => 'done', { waitMilliseconds: 500 })).toBe('done')
  })

  test('a lock whose file is replaced again and again is given up in time', async () => {
    const state = await temporaryState()
    let tries = 0
    // The owner is asked for between the opening of the file and the look at what its path leads to.
    const replaced = {
      path: state.path,
      get owner() {
        tries++
        rmSync(join(state.path, 'lock'), { force: true })
        return null
      },
    }
    await expect(
      withLock(replaced, async () => 'done', { waitMilliseconds: 200 }),
    ).rejects.toMatchObject({ code: 'locked' })
    expect(tries).toBeGreaterThan(1)
  })

  test('the log is followed without printing a line twice', async () => {
    const state = await temporaryState()
    await ensureAuthority(state, now)
    createLog(state, () => now)('one')
    likeWindows()
    const tail = openTail(logPath(state))
    onTestFinished(() => tail.close())
    expect(tail.read()).toHaveLength(1)
    expect(tail.read()).toEqual([])
    createLog(state, () => now)('two')
    expect(tail.read()).toHaveLength(1)
  })

  test('an authority is deleted with its directory, under the lock that lies in it', async () => {
    const { state, issue: issueOne } = await withAuthority()
    likeWindows()
    await issueOne()
    await permitScope(state, { permit: ['dev.example.com'], name: 'work' }, now)
    expect(await forgetScope(state, 'work')).toEqual([])
    expect(await deleteAuthority(state)).toEqual([])
    expect(existsSync(state.path)).toBe(false)
  })
})

test('a journal is replaced while it is open for writing, and goes on', async () => {
  const state = await temporaryState()
  const path = join(state.path, 'journal')
  likeWindows()
  const known: string[] = []
  const journal = await openJournal({
    path,
    state,
    snapshot: () => known.slice(-2),
    longest: () => 5,
  })
  for (let i = 0; i < 20; i++) {
    known.push(`line ${i}`)
    journal.add(`line ${i}`)
    await journal.saved()
  }
  await journal.close()
  expect([...readJournal(path)].slice(-2)).toEqual(['line 18', 'line 19'])
})

describe('a rename that another program stops', () => {
  test.each(['EPERM', 'EACCES', 'EBUSY'] as const)(
    'with %s for a moment succeeds',
    async (code) => {
      const { state, outDir, issue: issueOne } = await withAuthority()
      const files = likeWindows()
      await issueOne()
      files.refuse(/-key\.pem$/, code, 3)
      const [renewal] = await renew(state, { which: 'all' }, { rekey: true }, now)
      expect(renewal?.outcome).toBe('renewed')
      expect(readdirSync(outDir).toSorted()).toEqual(['localhost-key.pem', 'localhost.pem'])
    },
  )

  test('for good leaves no key beside the files, and the next command finishes them', async () => {
    const { state, outDir, issue: issueOne } = await withAuthority()
    const files = likeWindows()
    await issueOne()
    const before = treeOf(outDir)
    files.refuse(/\.pem$/, 'EACCES', 1_000)
    const [renewal] = await renew(state, { which: 'all' }, { rekey: true }, now)
    expect(renewal?.outcome).toBe('failed')
    expect(treeOf(outDir)).toEqual(before)
    files.refuse(/(?!)/, 'EACCES', 0)
    const key = readFileSync(join(outDir, 'localhost-key.pem'), 'utf8')
    await settleInterrupted(state)
    expect(readFileSync(join(outDir, 'localhost-key.pem'), 'utf8')).not.toBe(key)
    expect(readdirSync(join(state.path, 'pending'))).toEqual([])
  })
})
