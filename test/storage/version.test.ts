import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ensureAuthority, permitScope } from '../../src/authority/create.ts'
import { deleteAuthority } from '../../src/authority/delete.ts'
import { readScopes } from '../../src/authority/scope.ts'
import { certificateFor } from '../../src/library/certificate-for.ts'
import { issue } from '../../src/certificates/issue.ts'
import { namedAuthority, type StateDirectory } from '../../src/home/state-directory.ts'
import { readInventory, readRecord } from '../../src/storage/files/record.ts'
import { stateEntries } from '../../src/storage/files/state-layout.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'
import { settleInterrupted } from '../../src/storage/files/settle.ts'
import { exclusively } from '../../src/storage/files/unfinished-writes.ts'
import { carryOver } from '../../src/storage/files/version.ts'
import { uninstallAuthority } from '../../src/trust/uninstall.ts'
import { firstVersionState } from '../helpers/first-version.ts'
import { addOldAuthority } from '../helpers/old-authority.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { treeOf } from '../helpers/tree.ts'
import { createStore, createWorld } from '../trust/memory-stores.ts'

const now = new Date('2026-11-29T12:00:00Z')
const versionPath = ({ path }: StateDirectory): string => join(path, 'version')

/** An authority that a newer Rootling carried over to version 4. */
async function newerState(): Promise<StateDirectory> {
  const state = await temporaryState()
  await ensureAuthority(state, now)
  writeFileSync(versionPath(state), '4\n')
  return state
}

const refusal = ({ path }: StateDirectory) => ({
  code: 'newer-state',
  message: `${path} has version 4, which a newer Rootling wrote; this one knows versions up to 3.`,
  hint: 'Update Rootling, and restart what still runs an older one: npm install -g rootling@latest, or by what else installed it',
})

describe('a state directory', () => {
  test('has its version in a file that others may read and a deletion takes along', async () => {
    const state = await temporaryState()
    await ensureAuthority(state, now)
    expect(readFileSync(versionPath(state), 'utf8')).toBe('3\n')
    expect((statSync(versionPath(state)).mode & 0o777).toString(8)).toBe('644')
    const { files, foreign } = await stateEntries(state)
    expect(foreign).toEqual([])
    // A killed deletion must not leave files of a version without its number.
    expect(files.slice(-2)).toEqual([versionPath(state), join(state.path, 'lock')])
    expect(await deleteAuthority(state)).toEqual([])
    expect(existsSync(state.path)).toBe(false)
  })

  test('without that file is read as it is, and carried over by the first change', async () => {
    const state = await firstVersionState()
    const before = treeOf(state.path)
    await settleInterrupted(state)
    expect((await readScopes(state)).map(({ name }) => name)).toEqual(['local'])
    const { certificates, revocations } = await readInventory(state)
    expect(certificates.map(({ identifiers }) => identifiers.map(({ value }) => value))).toEqual([
      ['localhost'],
      ['shop.test', '127.0.0.1'],
    ])
    expect([...revocations.keys()]).toEqual([certificates[0]?.serialNumber])
    expect(treeOf(state.path)).toEqual(before)
    await issue(state, { names: ['localhost'], files: null }, now)
    const record = join(state.path, 'certificates.jsonl')
    const after = treeOf(state.path)
    expect(after).toEqual({
      ...before,
      [record]: after[record],
      [versionPath(state)]: after[versionPath(state)],
    })
    expect(readFileSync(versionPath(state), 'utf8')).toBe('3\n')
    expect((await readRecord(state)).slice(0, 2)).toEqual(certificates)
  })

  test('of an authority that permits every use is carried over too', async () => {
    const state = await temporaryState()
    await addOldAuthority(state)
    writeFileSync(versionPath(state), '1\n')
    await issue(state, { names: ['localhost'], files: null }, new Date())
    expect(readFileSync(versionPath(state), 'utf8')).toBe('3\n')
  })

  test('is carried over step by step, and after a failure from the step that failed', async () => {
    const state = await firstVersionState()
    const taken: string[] = []
    let isBroken = true
    const steps = [1, 2, 3].map((from) => async () => {
      taken.push(
        `${from} ${existsSync(versionPath(state)) ? readFileSync(versionPath(state), 'utf8') : ''}`,
      )
      if (from === 2 && isBroken) throw new Error('killed')
    })
    await expect(carryOver(state, steps)).rejects.toThrow('killed')
    expect(readFileSync(versionPath(state), 'utf8')).toBe('2\n')
    isBroken = false
    await carryOver(state, steps)
    await carryOver(state, steps)
    expect(taken).toEqual(['1 ', '2 2\n', '2 2\n', '3 3\n'])
    expect(readFileSync(versionPath(state), 'utf8')).toBe('4\n')
  })
})

describe('a state directory of a newer version', () => {
  test('is refused by the library and by each change, and stays as it is', async () => {
    const state = await newerState()
    const before = treeOf(state.path)
    const expected = refusal(state)
    const changes = [
      () => settleInterrupted(state),
      () => certificateFor('localhost', { home: state.path }),
      () => exclusively(state, async () => expect.unreachable()),
      () => fileStorage(state).change(async () => expect.unreachable()),
      () => issue(state, { names: ['localhost'], files: null }, now),
      () => permitScope(state, { permit: ['dev.example.com'], name: 'work' }, now),
      () => deleteAuthority(state),
    ]
    for (const change of changes) await expect(change()).rejects.toMatchObject(expected)
    expect(treeOf(state.path)).toEqual(before)
  })

  test('is refused by an uninstallation of an authority beside it, which removes no root', async () => {
    const state = await temporaryState()
    await ensureAuthority(state, now)
    const named = namedAuthority(state, 'work')
    await ensureAuthority(named, now)
    writeFileSync(versionPath(named), '4\n')
    const before = treeOf(state.path)
    const uninstall = async () => expect.unreachable('a root was removed')
    const world = createWorld(state, [createStore('a', { uninstall })])
    const requests = [{}, { deleteAuthority: true }, { deleteAuthority: true, others: true }]
    for (const request of requests)
      await expect(uninstallAuthority(world, {}, request)).rejects.toMatchObject(refusal(named))
    expect(world.questions).toEqual([])
    expect(treeOf(state.path)).toEqual(before)
  })
})

test.each(['', '0\n', '02\n', '-1\n', '2.5\n', '2 3\n', 'x', '1'.repeat(10)])(
  'the version %j is none: it is refused, with what to type, and stays',
  async (text) => {
    const state = await newerState()
    writeFileSync(versionPath(state), text)
    const path = versionPath(state)
    const expected = {
      code: 'corrupt-state',
      message: `${path} does not hold the version of a state directory.`,
      hint: `Restore it from a backup or, if no newer Rootling wrote here, move it away: mv ${path} ${path}.old`,
    }
    await expect(settleInterrupted(state)).rejects.toMatchObject(expected)
    const issued = issue(state, { names: ['localhost'], files: null }, now)
    await expect(issued).rejects.toMatchObject(expected)
    expect(readFileSync(path, 'utf8')).toBe(text)
  },
)

test('a directory in place of the version is refused', async () => {
  const state = await temporaryState()
  mkdirSync(versionPath(state), { recursive: true, mode: 0o700 })
  await expect(ensureAuthority(state, now)).rejects.toMatchObject({
    code: 'file-unreadable',
    message: `${versionPath(state)} is not a regular file.`,
  })
})
