import { readdirSync, statSync } from 'node:fs'
import { mkdir, readdir, symlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { issue } from '../../src/certificates/issue.ts'
import { keptCertificate } from '../../src/certificates/kept.ts'
import type { OutputPaths, PartOfState } from '../../src/certificates/output-files.ts'
import { renew } from '../../src/certificates/renew.ts'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import { readRecord, recordIssued } from '../../src/storage/files/record.ts'
import { day } from '../../src/x509/profiles.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'
import { treeOf } from '../helpers/tree.ts'

// An output in a state directory could replace a signing key or the record, so it is refused, by
// whatever way its path leads there.

const now = new Date()
const names = ['localhost']

async function withAuthority(): Promise<StateDirectory> {
  const state = await temporaryState()
  await ensureAuthority(state, now)
  return state
}

async function expectRefused(state: StateDirectory, files: OutputPaths): Promise<void> {
  const before = treeOf(state.path)
  const refused = issue(state, { names, files, force: true }, now)
  await expect(refused).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringContaining(' is in the state directory '),
    hint: 'Name a path elsewhere, or run the command in another directory',
  })
  expect(treeOf(state.path)).toEqual(before)
}

describe('an output in the state directory is refused and changes nothing, also with --force', () => {
  test('over the signing key, the record or the tag, in new directories, and in kept/', async () => {
    const state = await withAuthority()
    const outDir = await temporaryDirectory()
    for (const path of [
      'scopes/local/intermediate-key.pem',
      'scopes/local/new.pem',
      'certificates.jsonl',
      'CACHEDIR.TAG',
      'localhost.pem',
      'new/directory/localhost.pem',
      'kept/localhost.pem',
    ])
      for (const option of ['certPath', 'keyPath'] as const)
        await expectRefused(state, { outDir, [option]: join(state.path, path) })
    for (const format of ['chain', 'der', 'full', 'pkcs12'] as const)
      await expectRefused(state, { outDir, extra: { [format]: join(state.path, 'made.p12') } })
    await expectRefused(state, { outDir: state.path })
    await expectRefused(state, { outDir: join(state.path, 'new') })
    expect(readdirSync(outDir)).toEqual([])
  })

  test('by a symbolic link, or by “..”', async () => {
    const state = await withAuthority()
    const outDir = await temporaryDirectory()
    const link = join(outDir, 'link')
    await symlink(join(state.path, 'scopes'), link)
    expect(await readdir(link)).toEqual(['local'])
    await expectRefused(state, { outDir, keyPath: join(link, 'local/intermediate-key.pem') })
    await expectRefused(state, {
      outDir,
      certPath: `${outDir}/../${basename(join(state.path, '..'))}/state/x.pem`,
    })
  })

  test('of another authority', async () => {
    const state = await withAuthority()
    const other = await withAuthority()
    const outDir = await temporaryDirectory()
    const before = treeOf(other.path)
    await expectRefused(state, { outDir, keyPath: join(other.path, 'scopes/local/root.pem') })
    await expectRefused(state, { outDir: join(other.path, 'certificates') })
    expect(treeOf(other.path)).toEqual(before)
  })

  test('of an authority that does not exist yet', async () => {
    const state = await temporaryState()
    const outDir = join(state.path, 'certificates')
    const refused = issue(state, { names, files: { outDir }, selfSigned: true }, now)
    await expect(refused).rejects.toMatchObject({ code: 'usage' })
    expect(() => statSync(state.path)).toThrow('ENOENT')
  })
})

test('a directory that only looks a little like a state directory takes outputs', async () => {
  const state = await withAuthority()
  const outDir = await temporaryDirectory()
  await mkdir(join(outDir, 'scopes'))
  await expect(issue(state, { names, files: { outDir } }, now)).resolves.toBeDefined()
  const beside = join(state.path, '../state-2')
  await expect(issue(state, { names, files: { outDir: beside } }, now)).resolves.toBeDefined()
})

test('beside a CA in $CAROOT, certificates may be written, and no file of the CA', async () => {
  const state = await withAuthority()
  const inState: PartOfState = 'beside'
  const at = (name: string): string => join(state.path, name)
  const files = { certPath: at('cert.pem'), keyPath: at('dev.pem'), inState }
  await expect(issue(state, { names, files }, now)).resolves.toBeDefined()
  await keptCertificate(state, names, {}, now)
  const own = readdirSync(state.path).filter((name) => name !== 'cert.pem' && name !== 'dev.pem')
  expect(own).toContain('certificates.jsonl')
  const foreign = ['rootCA.pem', 'rootca-key.pem', '.hidden.pem', 'certificates.jsonl:x.pem']
  for (const name of [...own, ...foreign, 'scopes/local/root.pem', 'kept/x.pem'])
    await expectRefused(state, { ...files, keyPath: at(name) })
})

describe('a renewal', () => {
  test('of a kept certificate, or of one beside the CA in $CAROOT, is made', async () => {
    const state = await withAuthority()
    await keptCertificate(state, names, {}, now)
    const at = (name: string): string => join(state.path, name)
    const files = { certPath: at('cert.pem'), keyPath: at('dev.pem'), inState: 'beside' } as const
    await issue(state, { names, files }, now)
    const renewals = await renew(state, { which: 'all' }, {}, new Date(now.getTime() + day))
    expect(renewals.map(({ outcome }) => outcome)).toEqual(['renewed', 'renewed'])
  })

  test('of a certificate that is on record for a path in a state directory fails', async () => {
    const state = await withAuthority()
    const outDir = await temporaryDirectory()
    const { record } = await issue(state, { names, files: { outDir } }, now)
    const certPath = join(state.path, 'scopes/local/root.pem')
    await recordIssued(state, [{ ...record, certPath }])
    const before = treeOf(join(state.path, 'scopes'))
    const [renewal] = await renew(state, { which: 'named', names: [certPath] }, {}, now)
    expect(renewal).toMatchObject({
      outcome: 'failed',
      reason: `${certPath} is in the state directory ${join(state.path, 'scopes/local/../..')}, where only the CA keeps its files.`,
      hint: 'Issue it elsewhere, then delete that file: rootling issue localhost --out-dir DIR',
    })
    expect(treeOf(join(state.path, 'scopes'))).toEqual(before)
    expect(await readRecord(state)).toHaveLength(2)
  })
})
