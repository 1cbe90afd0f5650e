import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { ensureAuthority, permitScope } from '../../src/authority/create.ts'
import { deleteAuthority, forgetScope, isDeletable } from '../../src/authority/delete.ts'
import { readScopes } from '../../src/authority/scope.ts'
import { issue } from '../../src/certificates/issue.ts'
import { keptCertificate } from '../../src/certificates/kept.ts'
import { openNonces } from '../../src/acme/store/nonces.ts'
import { openStore } from '../../src/acme/store/store.ts'
import { makeCrl } from '../../src/certificates/crl.ts'
import { updateRootCopy } from '../../src/cli/mkcert/root-copy.ts'
import { createLog } from '../../src/daemon/log-file.ts'
import { openFailures } from '../../src/daemon/renewal-failures.ts'
import { readSettings, writeSettings } from '../../src/daemon/settings.ts'
import { windowsTask } from '../../src/daemon/service/units.ts'
import { withLock } from '../../src/files/lock.ts'
import { writeRunFile } from '../../src/home/run-file.ts'
import { stateDirectory, type StateDirectory } from '../../src/home/state-directory.ts'
import { readRecord } from '../../src/storage/files/record.ts'
import { stateEntries } from '../../src/storage/files/state-layout.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'
import { treeOf } from '../helpers/tree.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'

const now = new Date()

/** An authority with the scopes `local` and `work`, and with a certificate. */
async function withAuthority(at?: StateDirectory): Promise<StateDirectory> {
  const state = at ?? (await temporaryState())
  await ensureAuthority(state, now)
  await permitScope(state, { permit: ['dev.example.com'], name: 'work' }, now)
  await issue(state, { names: ['localhost'], files: null }, now)
  return state
}

function put(path: string, text = 'precious'): string {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}

/** Has every part of Rootling that writes into a state directory write there. */
async function writeAll(state: StateDirectory): Promise<void> {
  await keptCertificate(state, ['shop.test'], {}, now)
  await makeCrl(fileStorage(state), 'local', now)
  await updateRootCopy(state, await readScopes(state))
  await writeSettings(state, await readSettings(state))
  const token = '5a'.repeat(32)
  const run = { address: '', token, pid: 1, since: '', revocationUrl: null }
  await writeRunFile(state, run)
  const log = createLog(state, () => now, 1)
  for (const line of ['one', 'two', 'three']) log(line)
  const failures = await openFailures(state, () => now)
  for (const record of await readRecord(state)) failures.add(record, { reason: 'It broke.' })
  await failures.save()
  for (const name of ['stores.lock', 'daemon.lock'])
    await withLock(state, async () => undefined, { name })
  const store = await openStore(state, () => now)
  store.put('account', { id: 'a', thumbprint: 't' } as never)
  await store.saved()
  await store.close()
  await (await openNonces(state)).close()
  const { path, contents } = windowsTask({ program: '', args: [], home: '' }, '', state.path)
  writeFileSync(path, contents)
  mkdirSync(join(state.path, 'run'))
  const server = createServer()
  onTestFinished(() => void server.close())
  await new Promise<void>((done) => server.listen(join(state.path, 'run/control.sock'), done))
  const temporary = `.rootling-tmp-1-${'a'.repeat(12)}`
  put(join(state.path, `.daemon.json${temporary}`))
  put(join(state.path, `scopes/.old${temporary}/intermediate-key.pem`))
  put(join(state.path, `pending/${'5a'.repeat(16)}.json`), '{}')
}

test('all that Rootling writes is deleted, and then the directory', async () => {
  const state = await withAuthority()
  await writeAll(state)
  expect((await stateEntries(state)).foreign).toEqual([])
  expect(await deleteAuthority(state)).toEqual([])
  expect(existsSync(state.path)).toBe(false)
})

test('files and directories that Rootling did not write stay as they are, and are named', async () => {
  const state = await withAuthority()
  const elsewhere = put(join(await temporaryDirectory(), 'elsewhere'))
  await writeAll(state)
  const at = (name: string) => join(state.path, name)
  const files = [
    ...['src/thesis.txt', '.git/HEAD', 'scopes/notes/todo.txt', 'scopes/readme', 'kept/photo.png'],
    ...['scopes/work/notes.txt', 'pending/draft.json', 'acme/catalogue', 'run/it.sh', 'lock.txt'],
    ...[`kept/${'0'.repeat(16)}/photo.png`, 'authorities/list.txt', 'authorities/x/list.txt'],
    ...['.x.rootling-tmp-notes', '.y.rootling-tmp-dir/text', 'rootCA-key.pem', 'daemon.log.2'],
  ]
  const links = ['daemon.log.1', 'scopes/work/crl-number', 'scopes/link', 'notes']
  for (const name of files) put(at(name))
  unlinkSync(at('daemon.log.1'))
  for (const name of links)
    symlinkSync(name === 'scopes/link' ? dirname(elsewhere) : elsewhere, at(name))
  const left = await deleteAuthority(state)
  const tree = treeOf(state.path)
  const kept = Object.entries(tree).filter(
    ([path, what]) => what !== 'directory' && !path.startsWith(at('scopes/link/')),
  )
  // mkcert's key is beside it, so the root is mkcert's too.
  expect(kept.map(([path]) => path)).toEqual([...files, ...links, 'rootCA.pem'].map(at).toSorted())
  for (const name of files) expect(readFileSync(at(name), 'utf8')).toBe('precious')
  expect(readFileSync(elsewhere, 'utf8')).toBe('precious')
  expect(left).toEqual(
    [
      ...['.git', '.x.rootling-tmp-notes', '.y.rootling-tmp-dir', 'acme/catalogue', 'src'],
      ...['authorities', 'daemon.log.1', 'daemon.log.2', 'lock.txt'],
      ...['kept/photo.png', `kept/${'0'.repeat(16)}`, 'notes', 'pending/draft.json'],
      ...['rootCA-key.pem', 'rootCA.pem', 'run/it.sh', 'scopes/link', 'scopes/notes'],
      ...['scopes/readme', 'scopes/work/crl-number', 'scopes/work/notes.txt'],
    ]
      .map(at)
      .toSorted()
      .concat(state.path),
  )
  expect(await readScopes(state)).toEqual([])
  expect(await isDeletable(state)).toBe(false)
})

test.each(
  Object.entries({
    'kept.lock': 'precious',
    'CACHEDIR.TAG': 'Signature: 8a477f597d28d172789f06886806bc55\n# Of another program.\n',
    'daemon.json': '{ "name": "a daemon of mine" }',
    'daemon-run.json': '{}',
    'daemon.log': 'Listening.\n',
    'renewal.json': '{ "next": "2030-01-01" }',
    'rootCA.pem': '-----BEGIN CERTIFICATE-----\n',
    'acme/journal': 'Monday: nothing.\n',
    'acme/nonces': '17\n',
  }),
)('a file that is named %s, but begins as Rootling begins none, stays', async (name, text) => {
  const state = await withAuthority()
  const path = put(join(state.path, name), text)
  const left = await deleteAuthority(state)
  expect(left.at(-1)).toBe(state.path)
  expect(left.length).toBe(2)
  expect(path.startsWith(left[0] ?? '')).toBe(true)
  expect(readFileSync(path, 'utf8')).toBe(text)
})

test.each(['HOME', 'a link'])('a state directory that is %s is left, but empty', async (what) => {
  const directory = await temporaryDirectory()
  const path = what === 'HOME' ? directory : join(await temporaryDirectory(), 'link')
  if (what === 'HOME') vi.stubEnv('HOME', directory)
  else symlinkSync(directory, path)
  onTestFinished(() => void vi.unstubAllEnvs())
  const state = await withAuthority({ path, owner: null })
  expect(await deleteAuthority(state)).toEqual([path])
  expect(readdirSync(directory)).toEqual([])
  expect(existsSync(path)).toBe(true)
})

test('named authorities stay, and the last of them takes the directories with it', async () => {
  const base = await withAuthority()
  const named = (await Promise.all(
    ['shop', 'work'].map((name) => stateDirectory({ ROOTLING_HOME: base.path }, null, name)),
  )) as [StateDirectory, StateDirectory]
  for (const state of named) await withAuthority(state)
  const before = treeOf(named[0].path)
  expect(await deleteAuthority(base)).toEqual([base.path])
  expect(treeOf(named[0].path)).toEqual(before)
  expect(await isDeletable(base)).toBe(false)
  expect(await deleteAuthority(named[0])).toEqual([])
  expect(await readScopes(named[1])).toHaveLength(2)
  expect(await deleteAuthority(named[1])).toEqual([])
  expect(existsSync(base.path)).toBe(false)
})

test('a forgotten scope leaves a foreign file in its directory, which is no scope then', async () => {
  const state = await withAuthority()
  const notes = put(join(state.path, 'scopes/work/notes.txt'))
  expect(await forgetScope(state, 'work')).toEqual([notes])
  expect(readdirSync(dirname(notes))).toEqual(['notes.txt'])
  expect((await readScopes(state)).map(({ name }) => name)).toEqual(['local'])
  const again = permitScope(state, { permit: ['dev.example.com'], name: 'work' }, now)
  await expect(again).rejects.toMatchObject({
    code: 'not-ours',
    hint: expect.stringMatching(/^mv /),
  })
})

test('a scope behind a symbolic link is refused, and so is a directory of scopes', async () => {
  const state = await withAuthority()
  const other = await withAuthority()
  const link = join(state.path, 'scopes/linked')
  symlinkSync(join(other.path, 'scopes/work'), link)
  const before = treeOf(other.path)
  await expect(forgetScope(state, 'linked')).rejects.toMatchObject({
    code: 'not-ours',
    message: `${link} is a symbolic link, so what it leads to is kept.`,
    hint: `Delete that by hand, and then the link: rm ${link}`,
  })
  expect(treeOf(other.path)).toEqual(before)
  expect(existsSync(link)).toBe(true)
})
