import {
  chmodSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { cp } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { keptCertificate } from '../../src/certificates/kept.ts'
import { release, revoke } from '../../src/certificates/revoke.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'
import { revocationReasons } from '../../src/x509/revocation.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'

const now = new Date()

async function withKept() {
  const state = await temporaryState()
  await ensureAuthority(state, now)
  const ask = () => keptCertificate(state, ['app.test'], {}, now)
  return { state, ask, first: await ask() }
}

test.each(revocationReasons)('a certificate that was revoked (%s) is not kept', async (reason) => {
  const { state, ask, first } = await withKept()
  expect(await ask()).toEqual(first)
  await revoke(fileStorage(state), { target: first.serialNumber, reason, now })
  const [second, third] = await Promise.all([ask(), ask()])
  expect(second.serialNumber).not.toBe(first.serialNumber)
  expect(third).toEqual(second)
  expect(await ask()).toEqual(second)
})

test('one whose hold was released is kept, and one that was revoked in a copied directory is not', async () => {
  const { state, ask, first } = await withKept()
  const target = first.serialNumber
  await revoke(fileStorage(state), { target, reason: 'certificateHold', now })
  await release(fileStorage(state), { target, now })
  expect(await ask()).toEqual(first)
  await revoke(fileStorage(state), { target, now })
  const path = join(await temporaryDirectory(), 'copy')
  await cp(state.path, path, { recursive: true })
  const copied = await keptCertificate({ path, owner: null }, ['app.test'], {}, now)
  expect(copied.serialNumber).not.toBe(target)
})

/** The file in which the checks of an authority's kept certificates are kept. */
const checkedOf = ({ certPath }: { certPath: string }): string =>
  join(dirname(dirname(certPath)), 'checked.json')

/** Writes another fingerprint into that file, for every certificate. */
function lieIn(path: string): void {
  const checks = JSON.parse(readFileSync(path, 'utf8')) as { found: Record<string, object> }
  const found = Object.entries(checks.found).map(([asked, one]) => [
    asked,
    { ...one, fingerprint: 'of the file' },
  ])
  writeFileSync(path, JSON.stringify({ ...checks, found: Object.fromEntries(found) }))
}

test('what was checked is not checked again, also in a directory that was moved', async () => {
  const { state, ask, first } = await withKept()
  const again = await ask()
  expect(again).toEqual(first)
  const path = checkedOf(first)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  // Nothing but the file says this, so it was read.
  lieIn(path)
  expect(await ask()).toEqual({ ...first, fingerprint: 'of the file' })
  const moved = join(await temporaryDirectory(), 'moved')
  renameSync(state.path, moved)
  const there = await keptCertificate({ path: moved, owner: null }, ['app.test'], {}, now)
  expect(there).toMatchObject({ ca: first.ca, fingerprint: 'of the file' })
  expect(readFileSync(there.caPath, 'utf8')).toBe(first.ca)
  expect(readFileSync(there.certPath, 'utf8')).toBe(first.cert)
})

test('all is checked again once a file has changed, and when the certificate is due', async () => {
  const { state, ask, first } = await withKept()
  const path = checkedOf(first)
  const lie = async (): Promise<void> => {
    await ask()
    lieIn(path)
    expect((await ask()).fingerprint).toBe('of the file')
  }
  for (const file of [
    first.certPath,
    first.keyPath,
    first.caPath,
    join(state.path, 'certificates.jsonl'),
    join(state.path, 'scopes', 'local', 'scope.json'),
  ]) {
    await lie()
    const text = readFileSync(file)
    const { atime, mtime } = statSync(file)
    // The same octets, and the same time of the last change.
    writeFileSync(file, text)
    utimesSync(file, atime, mtime)
    expect(await ask(), file).toEqual(first)
  }
  await lie()
  const years = new Date(now.getTime() + 300 * 86_400_000)
  const due = await keptCertificate(state, ['app.test'], {}, years)
  expect(due.serialNumber).not.toBe(first.serialNumber)
  await keptCertificate(state, ['app.test'], {}, years)
  chmodSync(due.keyPath, 0o644)
  await expect(keptCertificate(state, ['app.test'], {}, years)).rejects.toMatchObject({
    code: 'loose-key',
  })
})

test('of many certificates the checks of the newest are kept, until the record changes', async () => {
  const { state, ask, first } = await withKept()
  const path = checkedOf(first)
  const askedIn = (): string[] => {
    const { found } = JSON.parse(readFileSync(path, 'utf8')) as { found: object }
    return Object.keys(found).map((asked) => (JSON.parse(asked) as string[][])[0]?.[0] ?? '')
  }
  const names = Array.from({ length: 22 }, (_, i) => `a${i}.test`)
  for (const name of names) await keptCertificate(state, [name], {}, now)
  await ask()
  expect(askedIn()).toEqual(['app.test'])
  for (const name of names) await keptCertificate(state, [name], {}, now)
  expect(askedIn()).toEqual(names.slice(2))
  await ask()
  expect(askedIn()).toEqual([...names.slice(3), 'app.test'])
})

test.each([
  ['another directory', { directory: '../../scopes/local' }],
  ['no time', { notAfter: null }],
  ['a number for the root', { root: 1 }],
])('what was found is checked again with %s in its file', async (_, wrong) => {
  const { ask, first } = await withKept()
  await ask()
  const path = checkedOf(first)
  const before = readFileSync(path, 'utf8')
  lieIn(path)
  const checks = JSON.parse(readFileSync(path, 'utf8')) as { found: Record<string, object> }
  const [[asked, one] = ['', {}]] = Object.entries(checks.found)
  writeFileSync(path, JSON.stringify({ ...checks, found: { [asked]: { ...one, ...wrong } } }))
  expect(await ask()).toEqual(first)
  expect(readFileSync(path, 'utf8')).toBe(before)
})

test.each(['', '{', '[]', 'null', '{"stamps":1}', '{"stamps":"","found":null}'])(
  'a damaged file of the last check (%j) is replaced',
  async (text) => {
    const { ask, first } = await withKept()
    await ask()
    const path = checkedOf(first)
    const checked = readFileSync(path, 'utf8')
    writeFileSync(path, text)
    expect(await ask()).toEqual(first)
    expect(readFileSync(path, 'utf8')).toBe(checked)
  },
)

test('a link in the place of the last check is not followed', async () => {
  const { state, ask, first } = await withKept()
  const target = join(state.path, 'target')
  writeFileSync(target, 'mine')
  rmSync(checkedOf(first), { force: true })
  symlinkSync(target, checkedOf(first))
  expect(await ask()).toEqual(first)
  expect(readFileSync(target, 'utf8')).toBe('mine')
})

test('what others may write in the place of the last check is not believed', async () => {
  const { ask, first } = await withKept()
  const path = checkedOf(first)
  await ask()
  lieIn(path)
  chmodSync(path, 0o666)
  expect(await ask()).toEqual(first)
})
