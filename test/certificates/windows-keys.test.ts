import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { beforeEach, expect, test, vi } from 'vitest'
import { RootlingError } from '../../src/errors.ts'
import { ensureAuthority } from '../../src/authority/create.ts'
import { issue, type IssueRequest } from '../../src/certificates/issue.ts'
import { renew } from '../../src/certificates/renew.ts'
import { request } from '../../src/cli/commands/request.ts'
import { writeRunFile } from '../../src/home/run-file.ts'
import { readRecord } from '../../src/storage/files/record.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'
import { treeOf } from '../helpers/tree.ts'

/**
 * Windows' access lists, simulated as Microsoft describes them ("How AutoInherit works", "File
 * security and access rights"): a new file has the list of its directory, a rename keeps the list of
 * the file that is renamed. So a secret is the user's alone only where its own, still empty file was.
 */
const windows = vi.hoisted(() => ({
  kept: [] as string[],
  leaked: [] as string[],
  asked: 0,
  failure: null as 'whoami' | 'icacls' | null,
}))

vi.mock('../../src/files/access-list.ts', () => ({
  askForUser: async () => {
    windows.asked++
    if (windows.failure === 'whoami')
      throw new RootlingError('tool-failed', 'whoami named no user.')
  },
  keepToUser: async (path: string, kind: 'file' | 'directory') => {
    if (windows.failure !== null) throw new RootlingError('tool-failed', 'icacls refused.')
    const isEmpty = kind === 'file' ? statSync(path).size === 0 : readdirSync(path).length < 2
    if (!isEmpty) windows.leaked.push(path)
    windows.kept.push(basename(path).replace(/^\.(.*)\.rootling-tmp-.*$/, '$1'))
  },
}))

const now = new Date()
const forget = () => Object.assign(windows, { kept: [], leaked: [], asked: 0, failure: null })
beforeEach(forget)

async function workshop() {
  const state = await temporaryState()
  await ensureAuthority(state, now)
  const outDir = await temporaryDirectory()
  const issueOne = (more: Partial<IssueRequest> = {}) =>
    issue(state, { names: ['localhost'], files: { outDir }, ...more }, now)
  return { state, outDir, issueOne }
}

test('keeps the state directory and a signing key to the user before anything is in them', async () => {
  const { state } = await workshop()
  expect(windows.kept.filter((name) => name !== 'scopes')).toEqual(
    expect.arrayContaining([basename(state.path), 'intermediate-key.pem']),
  )
  expect(windows.leaked).toEqual([])
})

test('keeps the token of the daemon to the user', async () => {
  const { state } = await workshop()
  forget()
  await writeRunFile(state, {
    address: '',
    token: '5a'.repeat(32),
    pid: 1,
    since: '',
    revocationUrl: null,
  })
  expect(windows.kept).toEqual(['daemon-run.json'])
  expect(windows.leaked).toEqual([])
})

test('keeps every file with a key to the user, when it is issued and when it is renewed', async () => {
  const { state, outDir, issueOne } = await workshop()
  forget()
  const pkcs12 = { password: 'secret', legacy: false }
  const extra = { full: true, pkcs12: true, der: true, chain: true } as const
  await issueOne({ files: { outDir, extra }, pkcs12 })
  const keys = ['localhost-full.pem', 'localhost-key.pem', 'localhost.p12']
  expect(windows.kept.filter((name) => name !== 'pending').toSorted()).toEqual(keys)
  forget()
  await renew(state, { which: 'all' }, {}, now)
  expect(windows.kept).toEqual(['localhost-full.pem'])
  forget()
  await renew(state, { which: 'all' }, { rekey: true }, now)
  expect(windows.kept.toSorted()).toEqual(['localhost-full.pem', 'localhost-key.pem'])
  expect(windows.leaked).toEqual([])
})

test('keeps one file of certificate and key to the user when it is renewed', async () => {
  const { state, outDir, issueOne } = await workshop()
  const both = join(outDir, 'both.pem')
  await issueOne({ files: { certPath: both, keyPath: both } })
  forget()
  await renew(state, { which: 'all' }, {}, now)
  expect(windows).toMatchObject({ kept: ['both.pem'], leaked: [], asked: 1 })
})

test('keeps the key of a request to the user', async () => {
  const { state, outDir } = await workshop()
  forget()
  const output = { note: () => undefined, result: () => undefined }
  await request({ positionals: ['localhost'] }, { cwd: outDir, state, output } as never)
  expect(windows).toMatchObject({ kept: ['localhost-key.pem'], leaked: [], asked: 1 })
})

test.each(['whoami', 'icacls'] as const)('issues nothing where %s fails', async (program) => {
  const { state, outDir, issueOne } = await workshop()
  await issueOne()
  const [files, record] = [treeOf(outDir), await readRecord(state)]
  windows.failure = program
  await expect(issueOne({ force: true })).rejects.toMatchObject({ code: 'tool-failed' })
  const [renewal] = await renew(state, { which: 'all' }, { rekey: true }, now)
  expect(renewal?.outcome).toBe('failed')
  expect(treeOf(outDir)).toEqual(files)
  expect(await readRecord(state)).toEqual(record)
  expect(readdirSync(join(state.path, 'pending'))).toEqual([])
})

test('asks for nobody where no key is written', async () => {
  const { state, outDir, issueOne } = await workshop()
  await issueOne()
  const text = readFileSync(join(outDir, 'localhost.pem'), 'utf8')
  forget()
  await renew(state, { which: 'all' }, {}, now)
  expect(windows).toMatchObject({ kept: [], asked: 0 })
  expect(readFileSync(join(outDir, 'localhost.pem'), 'utf8')).not.toBe(text)
})
