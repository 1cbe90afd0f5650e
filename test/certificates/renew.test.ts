import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { issue } from '../../src/certificates/issue.ts'
import { exclusively } from '../../src/storage/files/unfinished-writes.ts'
import { renew } from '../../src/certificates/renew.ts'
import { ensureAuthority, permitScope } from '../../src/authority/create.ts'
import { certificateStatuses } from '../../src/certificates/status.ts'
import {
  readInventory,
  recordIssued,
  recordPath,
  recordRevoked,
} from '../../src/storage/files/record.ts'
import type { CertificateRecord } from '../../src/storage/records.ts'

const day = 86_400_000
const start = new Date('2027-03-01T12:00:00Z')
const later = (days: number): Date => new Date(start.getTime() + days * day)

async function authority() {
  const directory = await mkdtemp(join(tmpdir(), 'rootling-renew-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const state = { path: join(directory, 'state'), owner: null }
  await ensureAuthority(state, start)
  const outDir = join(directory, 'out')
  await mkdir(outDir)
  return { state, outDir }
}

const read = (path: string | null): Promise<string> => readFile(path ?? '', 'utf8')

test('renewing keeps the key, the names and the lifetime, and changes only the certificate', async () => {
  const { state, outDir } = await authority()
  const request = { names: ['localhost', '127.0.0.1'], days: 90, files: { outDir } }
  const { record } = await issue(state, request, start)
  const key = await read(record.keyPath)
  const [renewal] = await renew(state, { which: 'all' }, {}, later(10))
  expect(renewal?.outcome).toBe('renewed')
  const leaf = new X509Certificate(await read(record.certPath))
  expect(await read(record.keyPath)).toBe(key)
  expect(leaf.checkPrivateKey(createPrivateKey(key))).toBe(true)
  expect(leaf.subjectAltName).toBe('DNS:localhost, IP Address:127.0.0.1')
  expect(leaf.serialNumber.toLowerCase()).toBe(renewal?.record?.serialNumber)
  expect(leaf.serialNumber.toLowerCase()).not.toBe(record.serialNumber)
  expect(Date.parse(leaf.validTo) - Date.parse(leaf.validFrom)).toBe(90 * day - 1000)
})

test('rekeying changes both files, and they match', async () => {
  const { state, outDir } = await authority()
  const { record } = await issue(state, { names: ['localhost'], files: { outDir } }, start)
  const before = await read(record.keyPath)
  await renew(state, { which: 'all' }, { rekey: true }, later(1))
  const after = await read(record.keyPath)
  expect(after).not.toBe(before)
  const leaf = new X509Certificate(await read(record.certPath))
  expect(leaf.checkPrivateKey(createPrivateKey(after))).toBe(true)
  expect(leaf.checkPrivateKey(createPrivateKey(before))).toBe(false)
})

test('a certificate is due at two thirds of its life, and not before', async () => {
  const { state, outDir } = await authority()
  await issue(state, { names: ['localhost'], days: 90, files: { outDir } }, start)
  expect(await renew(state, { which: 'due' }, {}, later(59))).toHaveLength(0)
  const [renewal] = await renew(state, { which: 'due' }, {}, later(61))
  expect(renewal?.outcome).toBe('renewed')
  expect(await renew(state, { which: 'due' }, {}, later(61))).toHaveLength(0)
})

test('renewal keeps the modes that the files have been given', async () => {
  const { state, outDir } = await authority()
  const { record } = await issue(state, { names: ['localhost'], files: { outDir } }, start)
  await chmod(record.certPath ?? '', 0o640)
  await renew(state, { which: 'all' }, { rekey: true }, later(1))
  expect((await stat(record.certPath ?? '')).mode & 0o777).toBe(0o640)
  expect((await stat(record.keyPath ?? '')).mode & 0o777).toBe(0o600)
})

test('a file that something else replaced, or that is gone, is left alone', async () => {
  const { state, outDir } = await authority()
  const { record } = await issue(state, { names: ['localhost'], files: { outDir } }, start)
  await writeFile(record.certPath ?? '', 'something else')
  const [changed] = await renew(state, { which: 'all' }, {}, later(1))
  expect(changed).toMatchObject({ outcome: 'skipped', reason: expect.stringContaining('changed') })
  expect(await read(record.certPath)).toBe('something else')
  await rm(record.certPath ?? '')
  const [gone] = await renew(state, { which: 'all' }, {}, later(1))
  expect(gone).toMatchObject({ outcome: 'skipped', reason: expect.stringContaining('is gone') })
})

test('a certificate that is gone is made anew by the line of the hint, by force over another key', async () => {
  const { state, outDir } = await authority()
  const { record } = await issue(state, { names: ['localhost'], files: { outDir } }, start)
  const again = `To make it anew: rootling issue localhost --cert-file ${record.certPath} --key-file ${record.keyPath}`
  await rm(record.certPath ?? '')
  const hint = async () => (await renew(state, { which: 'all' }, {}, later(1)))[0]?.hint
  expect(await hint()).toBe(again)
  await writeFile(record.keyPath ?? '', 'something else')
  expect(await hint()).toBe(`${again} --force`)
  await rm(record.keyPath ?? '')
  expect(await hint()).toBe(again)
})

test('a revoked certificate is not renewed', async () => {
  const { state, outDir } = await authority()
  const { record } = await issue(state, { names: ['localhost'], files: { outDir } }, start)
  const { serialNumber } = record
  const revocation = {
    serialNumber,
    reason: 'keyCompromise',
    revokedAt: start.toISOString(),
  } as const
  await exclusively(state, () => recordRevoked(state, revocation))
  const [renewal] = await renew(state, { which: 'all' }, {}, later(1))
  expect(renewal).toMatchObject({ outcome: 'skipped', reason: 'It was revoked.' })
  const [newest] = certificateStatuses(await readInventory(state), later(1))
  expect(newest?.status).toBe('revoked')
})

test('a name, a serial number and a path select; another name is refused', async () => {
  const { state, outDir } = await authority()
  const first = await issue(state, { names: ['a.test'], files: { outDir } }, start)
  const second = await issue(state, { names: ['b.test'], files: { outDir } }, start)
  const named = async (name: string) => {
    const renewals = await renew(state, { which: 'named', names: [name] }, {}, later(1))
    return renewals.map(({ previous }) => previous.identifiers[0]?.value)
  }
  expect(await named('A.test')).toEqual(['a.test'])
  expect(await named(second.record.serialNumber)).toEqual(['b.test'])
  expect(await named(first.record.certPath ?? '')).toEqual(['a.test'])
  await expect(named('c.test')).rejects.toMatchObject({
    code: 'usage',
    message: 'No certificate on record is for c.test.',
  })
})

test('files that hold certificate and key in one keep their key', async () => {
  const { state, outDir } = await authority()
  const one = join(outDir, 'one.pem')
  const files = { outDir, certPath: one, keyPath: one, extra: { full: true, der: true } } as const
  const { record } = await issue(state, { names: ['localhost'], files }, start)
  await renew(state, { which: 'all' }, {}, later(1))
  const full = record.extra?.find(({ format }) => format === 'full')?.path ?? ''
  const der = record.extra?.find(({ format }) => format === 'der')?.path ?? ''
  const leaf = new X509Certificate(await readFile(one))
  for (const path of [one, full]) {
    const text = await read(path)
    expect(leaf.checkPrivateKey(createPrivateKey(text))).toBe(true)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  }
  expect(new X509Certificate(await read(full)).fingerprint256).toBe(leaf.fingerprint256)
  expect(new X509Certificate(await readFile(der)).fingerprint256).toBe(leaf.fingerprint256)
})

test('the newest certificate of a file counts; the older one is replaced', async () => {
  const { state, outDir } = await authority()
  await issue(state, { names: ['localhost'], files: { outDir } }, start)
  await issue(state, { names: ['localhost'], files: { outDir } }, later(1))
  const statuses = certificateStatuses(await readInventory(state), later(2))
  expect(statuses.map(({ status }) => status)).toEqual(['current', 'replaced'])
})

const one = (type: string, value: string) => ({ identifiers: [{ type, value }] })
test.each([
  one('uri', 'x'),
  one('uri', 'spiffe://user@localhost/'),
  one('ip', 'nope'),
  one('dns', '*'),
  one('dns', 'Localhost'),
  one('email', 'nobody'),
  one('ip', 'localhost'),
  { identifiers: [] },
])('a line that names what nobody can ask for is not signed: %j', async (damage) => {
  const { state, outDir } = await authority()
  await permitScope(state, { permit: [], name: 'any', private: true }, start)
  const request = { names: ['localhost'], scope: 'any', files: { outDir } }
  const { record } = await issue(state, request, start)
  await recordIssued(state, [{ ...record, ...damage } as CertificateRecord])
  const [renewal] = await renew(state, { which: 'all' }, {}, later(1))
  expect(renewal).toMatchObject({ outcome: 'failed', hint: expect.any(String) })
  expect(new X509Certificate(await read(record.certPath)).serialNumber.toLowerCase()).toBe(
    record.serialNumber,
  )
})

test.each([
  [{ notAfter: '2999-01-01T00:00:00Z' }, 825],
  [{ notBefore: '2999-01-01T00:00:00Z' }, 1],
])('a line with wrong dates makes no certificate that clients refuse: %j', async (damage, days) => {
  const { state, outDir } = await authority()
  const { record } = await issue(state, { names: ['localhost'], files: { outDir } }, start)
  await recordIssued(state, [{ ...record, ...damage }])
  await renew(state, { which: 'all' }, {}, start)
  const leaf = new X509Certificate(await read(record.certPath))
  expect(Date.parse(leaf.validTo) - Date.parse(leaf.validFrom)).toBe(days * day - 1000)
})

test.skipIf(process.platform === 'win32')(
  'a record that others can write to renews nothing and runs no command',
  async () => {
    const { state, outDir } = await authority()
    const { record } = await issue(state, { names: ['localhost'], files: { outDir } }, start)
    const path = recordPath(state)
    const before = await read(record.certPath)
    for (const mode of [0o666, 0o620, 0o602]) {
      await chmod(path, mode)
      for (const selection of [
        { which: 'all' },
        { which: 'due' },
        { which: 'named', names: ['localhost'] },
      ] as const)
        await expect(renew(state, selection, {}, later(300))).rejects.toMatchObject({
          code: 'loose-key',
          message: `Others can write to the record ${path} (mode 0${mode.toString(8)}).`,
          hint: `chmod go-w ${path}`,
        })
    }
    expect(await read(record.certPath)).toBe(before)
    await chmod(path, 0o644)
    expect(await renew(state, { which: 'due' }, {}, later(300))).toHaveLength(1)
  },
)
