import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { issue } from '../../src/certificates/issue.ts'
import { settleInterrupted } from '../../src/storage/files/settle.ts'
import { exclusively } from '../../src/storage/files/unfinished-writes.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'

const now = new Date('2027-03-01T12:00:00Z')

/** A pair whose command was killed after its record was appended, and before its files were renamed. */
async function interrupted() {
  const state = await temporaryState()
  const outDir = await temporaryDirectory()
  await ensureAuthority(state, now)
  const { record } = await issue(state, { names: ['localhost'], files: { outDir } }, now)
  const { serialNumber, certPath, keyPath } = record
  const paths = [keyPath ?? '', certPath ?? '']
  const contents = await Promise.all(paths.map((path) => readFile(path)))
  const files = paths.map((path, i) => ({
    path,
    mode: 0o600,
    base64: contents[i]?.toString('base64'),
    before: createHash('sha256').update('old').digest('hex'),
  }))
  const pending = join(state.path, 'pending', `${serialNumber}.json`)
  await mkdir(dirname(pending), { recursive: true, mode: 0o700 })
  await writeFile(pending, JSON.stringify({ record, files }), { mode: 0o600 })
  for (const path of paths) await writeFile(path, 'old')
  const said: string[] = []
  return {
    state,
    outDir,
    pending,
    certPath: certPath ?? '',
    keyPath: keyPath ?? '',
    said,
    settle: () => settleInterrupted(state, (sentence) => said.push(sentence)),
    left: () => readdir(dirname(pending)),
  }
}

const mayNotFit = 'A command was interrupted while it wrote the certificate for localhost, so'

test('a pair that can be finished is finished, and nothing is said', async () => {
  const { settle, said, left, certPath, keyPath } = await interrupted()
  await settle()
  expect(said).toEqual([])
  expect(await left()).toEqual([])
  expect(await readFile(certPath, 'utf8')).toContain('BEGIN CERTIFICATE')
  expect(await readFile(keyPath, 'utf8')).toContain('PRIVATE KEY')
})

test('a pair of which something else replaced a file is told, with what to type', async () => {
  const { settle, said, left, certPath, keyPath } = await interrupted()
  await writeFile(certPath, 'something else')
  await settle()
  expect(said).toEqual([
    `${certPath} was changed by something else since. ${mayNotFit} ${certPath} and the files beside it may not fit each other. To make them anew: rootling issue localhost --cert-file ${certPath} --key-file ${keyPath} --force`,
  ])
  expect(await readFile(certPath, 'utf8')).toBe('something else')
  expect(await left()).toEqual([])
  await settle()
  expect(said).toHaveLength(1)
})

test('a pair whose directory is gone is told once for each file', async () => {
  const { settle, said, left, outDir } = await interrupted()
  await rm(outDir, { recursive: true })
  await settle()
  expect(said).toHaveLength(2)
  expect(said[0]).toContain(mayNotFit)
  expect(await left()).toEqual([])
})

test('a pair that cannot be written now is told and kept for the next command', async () => {
  const { settle, said, left, pending, outDir, certPath } = await interrupted()
  // With the end of a temporary name, this one is too long for a file system.
  const long = join(outDir, 'a'.repeat(240))
  await writeFile(long, 'old')
  await writeFile(pending, (await readFile(pending, 'utf8')).replaceAll(certPath, long))
  for (const times of [1, 2]) {
    await settle()
    expect(said).toHaveLength(times)
    expect(said.at(-1)).toMatch(
      /could not be written: ENAMETOOLONG.*The next command tries again\.$/,
    )
    expect(await left()).toHaveLength(1)
  }
})

test('what cannot tell anybody leaves the pair for a command that can', async () => {
  const { state, settle, said, left, certPath } = await interrupted()
  await writeFile(certPath, 'something else')
  await exclusively(state, async () => undefined)
  await settleInterrupted(state)
  expect(await left()).toHaveLength(1)
  await settle()
  expect(said).toHaveLength(1)
})

test('a pair that a later command wrote anew is not told', async () => {
  const { state, outDir, settle, said, left, certPath } = await interrupted()
  await writeFile(certPath, 'something else')
  await issue(state, { names: ['localhost'], files: { outDir }, force: true }, now)
  await settle()
  expect(said).toEqual([])
  expect(await left()).toEqual([])
})

test('a damaged pending file of a certificate on record is told', async () => {
  const { settle, said, left, pending } = await interrupted()
  await writeFile(pending, '{')
  await settle()
  expect(said).toEqual([expect.stringContaining(`${pending} is damaged. ${mayNotFit}`)])
  expect(await left()).toEqual([])
})
