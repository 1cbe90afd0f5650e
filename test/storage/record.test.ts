import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { currentCertificates } from '../../src/certificates/status.ts'
import {
  newestOfFile,
  readCurrentInventory,
  readInventory,
  readNewestFirst,
  recordPath,
  revocationOf,
} from '../../src/storage/files/record.ts'
import { certificatesOf } from '../../src/storage/files/certificates.ts'
import { temporaryState } from '../helpers/temporary.ts'

const serialOf = (i: number) => (0x4a_0000 + i).toString(16)
const issued = (i: number, certPath: string | null, onRenew?: string) => ({
  event: 'issued',
  serialNumber: serialOf(i),
  scope: 'local',
  identifiers: [{ type: 'dns', value: 'localhost' }],
  notBefore: '2026-01-01T00:00:00.000Z',
  notAfter: '2027-01-01T00:00:00.000Z',
  keyType: 'p256',
  purpose: 'server',
  fingerprint: 'ab'.repeat(32),
  certPath,
  keyPath: null,
  ...(onRenew === undefined ? {} : { onRenew }),
})
const revoked = (i: number) => ({
  event: 'revoked',
  serialNumber: serialOf(i),
  revokedAt: '2026-02-01T00:00:00.000Z',
  reason: 'superseded',
})
const released = (i: number) => ({
  event: 'released',
  serialNumber: serialOf(i),
  releasedAt: '2026-03-01T00:00:00.000Z',
})

/** The record of a state directory, made of such events. */
async function withRecord(events: readonly object[]) {
  const state = await temporaryState()
  await mkdir(state.path, { recursive: true })
  const text = events.map((event) => `${JSON.stringify(event)}\n`).join('')
  await writeFile(join(state.path, 'certificates.jsonl'), text, { mode: 0o600 })
  return { state, octets: Buffer.byteLength(text) }
}

/** Names that make a quote, a backslash, and characters of two and four octets stand in the JSON. */
const names = Array.from(
  { length: 300 },
  (_, i) => `/häuser 🏠/${i % 7 === 0 ? '"\\' : ''}${i}.pem`,
)
const count = 25_000
const records = {
  'of certificates with files alone': Array.from({ length: count }, (_, i) =>
    issued(i, names[(i * 7) % names.length] ?? ''),
  ),
  'of certificates with files, without, revoked and released': Array.from(
    { length: count },
    (_, i) => {
      if (i % 11 === 3) return revoked(i - 3)
      if (i % 22 === 5) return released(i - 5)
      if (i % 5 === 0) return issued(i, null, '"certPath":"/nowhere"')
      return issued(i, names[(i * 13) % names.length] ?? '')
    },
  ),
}

describe.each(Object.entries(records))('a record of megabytes, %s', (_, events) => {
  test('is read whole, and without what was replaced or printed', async () => {
    const { state, octets } = await withRecord(events)
    expect(octets).toBeGreaterThan(6 * 1024 * 1024)
    const whole = await readInventory(state)
    const isIssued = (event: object): boolean => 'scope' in event
    const all = events.filter(isIssued).map(({ event: _event, ...record }) => record)
    expect(whole.certificates).toEqual(all)
    const current = currentCertificates(whole.certificates)
    expect(current.length).toBeLessThan(all.length)
    expect(await readCurrentInventory(state)).toEqual({ ...whole, certificates: current })
    expect(await readCurrentInventory(state, { printed: false })).toEqual({
      ...whole,
      certificates: current.filter(({ certPath }) => certPath !== null),
    })
  })
})

test('is read newest first in pages that end with what certificates became', async () => {
  const events = [
    ...records['of certificates with files, without, revoked and released'].slice(0, 4_000),
    ...[7, 12, 14].map((i) => ({ event: 'forgotten', serialNumber: serialOf(i) })),
  ]
  const { state } = await withRecord(events)
  const { certificates, revocations, forgotten } = await readInventory(state)
  const current = new Set(currentCertificates(certificates))
  const expected = certificates.toReversed().map((certificate) => ({
    certificate,
    revocation: revocations.get(certificate.serialNumber) ?? null,
    forgotten: forgotten.has(certificate.serialNumber),
    replaced: !current.has(certificate),
    members: JSON.stringify(certificate).slice(1, -1),
  }))
  const onDamage = vi.fn<(sentence: string) => void>()
  const pages = [...readNewestFirst(state, { all: true, onDamage })]
  expect(pages.flat()).toEqual(expected)
  expect(Math.max(...pages.map(({ length }) => length))).toBeLessThan(1_000)
  const inUse = [...readNewestFirst(state, { all: false, onDamage })].flat()
  expect(inUse).toEqual(expected.filter(({ replaced }) => !replaced))
  expect(onDamage).not.toHaveBeenCalled()
  for (const path of [...names.slice(0, 20), '/absent.pem'])
    expect(await newestOfFile(state, path)).toEqual(currentOf(inUse, path))
})

test('the revocation of one certificate is found as in the whole record', async () => {
  const { state } = await withRecord([
    ...records['of certificates with files, without, revoked and released'].slice(0, 12_000),
    // A hold that was released, and set again.
    ...[released(0), revoked(0)],
    ...[{ event: 'forgotten', serialNumber: serialOf(0) }],
  ])
  const { certificates, revocations } = await readInventory(state)
  const asked = certificates.filter((_, i) => i < 40 || i % 500 === 0)
  const found = await Promise.all(
    asked.map(({ serialNumber }) => revocationOf(state, serialNumber.toUpperCase())),
  )
  expect(found).toEqual(asked.map(({ serialNumber }) => revocations.get(serialNumber) ?? null))
  expect(new Set(found.map((each) => each === null)).size).toBe(2)
  expect(await revocationOf(state, serialOf(0))).toMatchObject({ reason: 'superseded' })
  expect(await revocationOf(state, 'ffffffff')).toBeNull()
  expect(await revocationOf(await temporaryState(), serialOf(0))).toBeNull()
})

/** The entry of a file without what \`newestOfFile\` does not say. */
function currentOf<
  T extends { certificate: { certPath: string | null }; replaced: boolean; members: string },
>(entries: readonly T[], path: string) {
  const found = entries.find(({ certificate }) => certificate.certPath === path)
  if (found === undefined) return null
  const { replaced: _replaced, members: _members, ...entry } = found
  return entry
}

test('read newest first, and for one file, damaged lines are skipped and named in one sentence', async () => {
  const { state } = await withRecord([
    issued(1, '/a.pem'),
    issued(2, '/b.pem'),
    issued(3, '/c.pem'),
  ])
  const lines = (await readFile(recordPath(state), 'utf8')).split('\n')
  const damaged = [
    lines[0],
    '{"event":"revoked"}',
    lines[1],
    lines[2]?.replace('"p256"', '1'),
    'rubbish',
  ]
  await writeFile(recordPath(state), damaged.join('\n'), { mode: 0o600 })
  const said: string[] = []
  const onDamage = (sentence: string) => void said.push(sentence)
  const found = [...readNewestFirst(state, { all: false, onDamage })].flat()
  expect(found.map(({ certificate }) => certificate.certPath)).toEqual(['/b.pem', '/a.pem'])
  const path = recordPath(state)
  const sentence = `Lines 2, 4-5 of the record ${path} are damaged.`
  const hint = `Restore it from a backup, or delete those lines: sed -i '2d;4,5d' ${path}`
  expect(said).toEqual([`${sentence} They were skipped. ${hint}`])
  await expect(readInventory(state)).rejects.toMatchObject({ message: sentence, hint })
  await readInventory(state, { onDamage })
  await certificatesOf(state, { onDamage }).find(serialOf(1))
  expect(said).toEqual(Array.from({ length: 3 }, () => said[0]))
  expect(await newestOfFile(state, '/c.pem')).toBeNull()
  expect((await newestOfFile(state, '/b.pem'))?.certificate.serialNumber).toBe(serialOf(2))
})

test('of hundreds of damaged lines one sentence tells the count and the first', async () => {
  const { state } = await withRecord([])
  const path = recordPath(state)
  const said: string[] = []
  const onDamage = (sentence: string) => void said.push(sentence)
  const whole = JSON.stringify(issued(1, '/a.pem'))
  await writeFile(path, `${whole}\n`.concat(`rubbish\n${whole}\n`.repeat(600)))
  await readInventory(state, { onDamage })
  await writeFile(path, `${whole}\n`.concat('rubbish\n'.repeat(600)))
  await readInventory(state, { onDamage })
  expect(said).toEqual([
    `600 lines of the record ${path} are damaged, the first of them line 2. They were skipped. Restore it from a backup.`,
    `Lines 2-601 of the record ${path} are damaged. They were skipped. Restore it from a backup, or delete those lines: sed -i 2,601d ${path}`,
  ])
})

test('a damaged line is named by its number behind the first megabytes, and one of megabytes too', async () => {
  for (const bad of ['{"event":"issued"}', 'x'.repeat(9_000_000)]) {
    const { state } = await withRecord(records['of certificates with files alone'])
    const lines = Array.from({ length: 20_000 }, (_, i) =>
      JSON.stringify(issued(i, names[i % 5] ?? '')),
    )
    lines[17_123] = bad
    await writeFile(recordPath(state), `${lines.join('\n')}\n`, { mode: 0o600 })
    const named = { code: 'corrupt-state', message: expect.stringContaining('Line 17124 of ') }
    await expect(readInventory(state)).rejects.toMatchObject(named)
    await expect(readCurrentInventory(state)).rejects.toMatchObject(named)
  }
})

test('a line longer than anything real is refused, from either end', async () => {
  const { state } = await withRecord([issued(1, '/a.pem')])
  await writeFile(recordPath(state), `${'x'.repeat(40_000_000)}\n`, { flag: 'a' })
  const refused = {
    code: 'file-unreadable',
    message: `${recordPath(state)} holds a line of more than 16 MiB.`,
  }
  await expect(readInventory(state)).rejects.toMatchObject(refused)
  await expect(readCurrentInventory(state)).rejects.toMatchObject(refused)
})
