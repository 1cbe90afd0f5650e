import type * as Fs from 'node:fs'
import { appendFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { createAcmeAuthority } from '../../src/acme/acme-authority.ts'
import { makeCrl } from '../../src/certificates/crl.ts'
import { revoke } from '../../src/certificates/revoke.ts'
import { currentCertificates } from '../../src/certificates/status.ts'
import { startRenewal } from '../../src/daemon/renewal.ts'
import { recordedRevocations } from '../../src/sites/mtls/recorded-revocations.ts'
import { createRevocationSource } from '../../src/sites/revocation/source.ts'
import { certificatesOf } from '../../src/storage/files/certificates.ts'
import { readInventory, recordIssued, recordPath } from '../../src/storage/files/record.ts'
import type { Entry } from '../../src/storage/storage.ts'
import { makeWorld } from '../helpers/authority.ts'
import {
  certificate,
  forgotten,
  issued,
  linesOf,
  released,
  revoked,
  serialOf,
  writeRecord,
} from '../helpers/filled-record.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'

// Work is counted, since time says little on a busy machine.
const { octets } = vi.hoisted(() => ({ octets: { read: 0 } }))
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof Fs>()
  const readSync = (...args: Parameters<typeof fs.readSync>): number => {
    const read = fs.readSync(...args)
    octets.read += read
    return read
  }
  return { ...fs, readSync, default: { ...fs, readSync } }
})
beforeEach(() => void (octets.read = 0))

const pagesOf = async (pages: AsyncIterable<readonly Entry[]>): Promise<Entry[]> => {
  const entries: Entry[] = []
  for await (const page of pages) entries.push(...page)
  return entries
}

const mixed = Array.from({ length: 3_000 }, (_, i) => {
  if (i % 11 === 3) return revoked(i - 3)
  if (i % 22 === 5) return released(i - 5)
  if (i % 13 === 6) return forgotten(i - 6)
  if (i % 5 === 0) return issued(i, { certPath: null })
  return issued(i, { certPath: `/häuser 🏠/"${i % 70}".pem`, scope: i % 7 === 0 ? 'vpn' : 'local' })
})

test('answers what the whole record says', async () => {
  const state = await temporaryState()
  writeRecord(state, mixed)
  const { certificates, revocations, forgotten: gone } = await readInventory(state)
  const expected = certificates.map((one) => ({
    certificate: one,
    revocation: revocations.get(one.serialNumber) ?? null,
    forgotten: gone.has(one.serialNumber),
  }))
  const reader = certificatesOf(state)
  expect(await pagesOf(reader.all())).toEqual(expected)
  const current = new Set(currentCertificates(certificates))
  const inUse = expected.filter((entry) => current.has(entry.certificate))
  expect(await pagesOf(reader.current({ printed: true }))).toEqual(inUse)
  const inFiles = inUse.filter((entry) => entry.certificate.certPath !== null)
  expect(await pagesOf(reader.current())).toEqual(inFiles)
  for (const entry of expected.filter((_, i) => i % 50 === 0)) {
    const { serialNumber, fingerprint, certPath } = entry.certificate
    expect(await reader.find(serialNumber)).toEqual(entry)
    expect(await reader.findByFingerprint(fingerprint)).toEqual(entry)
    expect(await reader.revocationOf(serialNumber)).toEqual(entry.revocation)
    const newest = inFiles.find((one) => one.certificate.certPath === certPath) ?? null
    expect(await reader.findByFile(certPath ?? '/none')).toEqual(newest)
  }
  for (const scope of ['local', 'vpn', 'none'])
    expect(await reader.revoked(scope, new Date(0))).toEqual(
      expected.filter((one) => one.revocation !== null && one.certificate.scope === scope),
    )
  expect(await reader.revoked('local', new Date('2027-01-01T00:00:00.001Z'))).toEqual([])
  expect(await reader.find(serialOf(9_999_999))).toBeNull()
  expect(await reader.findByFingerprint('00')).toBeNull()
})

test('a serial number is found as programs write it: in capitals, without leading zeros', async () => {
  const state = await temporaryState()
  writeRecord(state, [
    issued(1, { serialNumber: '00ab' }),
    { ...revoked(1), serialNumber: '00ab' },
    { ...revoked(2), serialNumber: '0c' },
  ])
  const reader = certificatesOf(state)
  expect((await reader.find('AB'))?.certificate.serialNumber).toBe('00ab')
  expect(await reader.revocationOf('AB')).toMatchObject({ serialNumber: '00ab' })
  // A certificate that is not on record, because a damaged line was deleted, stays revoked.
  expect(await reader.revocationOf('C')).toMatchObject({ serialNumber: '0c' })
})

test('an absent record has nothing, and is seen when it comes and goes', async () => {
  const state = await temporaryState()
  const reader = certificatesOf(state)
  expect(await reader.find(serialOf(1))).toBeNull()
  expect(await pagesOf(reader.all())).toEqual([])
  writeRecord(state, [issued(1)])
  expect(await reader.find(serialOf(1))).not.toBeNull()
  rmSync(recordPath(state))
  expect(await reader.find(serialOf(1))).toBeNull()
})

describe('a record that changes', () => {
  const count = 2_000
  const many = Array.from({ length: count }, (_, i) => issued(i))

  /** A reader that has read such a record. */
  async function opened() {
    const state = await temporaryState()
    writeRecord(state, many)
    const reader = certificatesOf(state)
    expect(await reader.find(serialOf(0))).not.toBeNull()
    const path = recordPath(state)
    octets.read = 0
    return { state, reader, path }
  }

  test('costs what another process appended', async () => {
    const { reader, path } = await opened()
    appendFileSync(path, linesOf([issued(count), revoked(3), forgotten(4), issued(5_000)]))
    expect(await reader.find(serialOf(count))).toMatchObject({ certificate: certificate(count) })
    expect((await reader.find(serialOf(3)))?.revocation?.reason).toBe('superseded')
    expect((await reader.find(serialOf(4)))?.forgotten).toBe(true)
    expect(octets.read).toBeLessThan(20_000)
    octets.read = 0
    for (let i = 0; i < 10; i++) await reader.find(serialOf(i))
    expect(octets.read).toBeLessThanOrEqual(11 * 2_048)
  })

  test('costs nothing while nothing has changed', async () => {
    const { reader } = await opened()
    expect(await reader.find(serialOf(9_999))).toBeNull()
    expect(await reader.revocationOf(serialOf(1))).toBeNull()
    expect(octets.read).toBe(0)
  })

  test('is read anew when another file was put in its place', async () => {
    const { reader, path } = await opened()
    writeFileSync(
      `${path}.new`,
      linesOf(Array.from({ length: count + 5 }, (_, i) => issued(i + 7))),
    )
    renameSync(`${path}.new`, path)
    expect(await reader.find(serialOf(6))).toBeNull()
    expect(await reader.find(serialOf(count + 11))).not.toBeNull()
  })

  test('is read anew when it was cut, and when it was written over', async () => {
    const { reader, path } = await opened()
    truncateSync(path, linesOf(many.slice(0, 10)).length)
    expect(await reader.find(serialOf(10))).toBeNull()
    expect(await reader.find(serialOf(9))).not.toBeNull()
    writeFileSync(path, linesOf(Array.from({ length: 40 }, (_, i) => issued(i + 100))))
    expect(await reader.find(serialOf(9))).toBeNull()
    expect(await reader.find(serialOf(139))).not.toBeNull()
    // As long as before.
    const { mtime } = statSync(path)
    while (statSync(path).mtime <= mtime)
      writeFileSync(path, linesOf(Array.from({ length: 40 }, (_, i) => issued(i + 200))))
    expect(await reader.find(serialOf(139))).toBeNull()
    expect(await reader.find(serialOf(239))).not.toBeNull()
  })

  test('an unfinished line is not there until it is whole, and may be cut off', async () => {
    const { state, reader, path } = await opened()
    const line = linesOf([issued(count)])
    appendFileSync(path, line.slice(0, 100))
    expect(await reader.find(serialOf(count))).toBeNull()
    appendFileSync(path, line.slice(100))
    expect(await reader.find(serialOf(count))).not.toBeNull()
    appendFileSync(path, line.slice(0, 200))
    expect(await reader.find(serialOf(count + 1))).toBeNull()
    await recordIssued(state, [certificate(count + 1)])
    expect(await reader.find(serialOf(count + 1))).not.toBeNull()
    expect((await readInventory(state)).certificates).toHaveLength(count + 2)
  })

  test('a damaged line is named by its number until it is gone, or skipped with a sentence', async () => {
    const { state, reader, path } = await opened()
    appendFileSync(path, `{"event":"revoked"}\n${linesOf([issued(count)])}`)
    const error = {
      code: 'corrupt-state',
      message: expect.stringContaining(`Line ${count + 1} of`),
    }
    for (let i = 0; i < 2; i++) await expect(reader.find(serialOf(1))).rejects.toMatchObject(error)
    const onDamage = vi.fn<(sentence: string) => void>()
    const lenient = certificatesOf(state, { onDamage })
    expect(await lenient.find(serialOf(count))).not.toBeNull()
    expect(onDamage).toHaveBeenCalledExactlyOnceWith(
      expect.stringContaining('It was skipped.'),
      expect.objectContaining(error),
    )
    writeRecord(state, many)
    expect(await reader.find(serialOf(1))).not.toBeNull()
    appendFileSync(path, 'rubbish')
    await expect(reader.find(serialOf(1))).rejects.toMatchObject({
      code: 'corrupt-state',
      message: expect.stringContaining(`Line ${count + 1} of`),
    })
  })

  test('the version of a scope’s revocations changes with these alone', async () => {
    const { reader, path } = await opened()
    const versions: string[] = []
    const note = async () => versions.push(await reader.revocationsVersion('local'))
    await note()
    appendFileSync(path, linesOf([issued(count), issued(count + 1, { scope: 'vpn' })]))
    await note()
    appendFileSync(path, linesOf([revoked(count + 1), forgotten(3)]))
    await note()
    expect(new Set(versions).size).toBe(1)
    appendFileSync(path, linesOf([revoked(5)]))
    await note()
    appendFileSync(path, linesOf([released(5)]))
    await note()
    writeFileSync(path, linesOf([issued(1)]))
    await note()
    expect(new Set(versions).size).toBe(4)
  })

  test('says what is due, and when the next certificate is', async () => {
    const { state } = await opened()
    const dates = (notBefore: string, notAfter: string) => ({
      notBefore: `${notBefore}T00:00:00.000Z`,
      notAfter: `${notAfter}T00:00:00.000Z`,
    })
    const due = dates('2026-01-01', '2026-01-04')
    writeRecord(state, [
      issued(1, due),
      issued(2, dates('2026-02-01', '2026-02-04')),
      issued(3, dates('2026-01-03', '2026-01-12')),
      issued(4, { ...due, scope: 'vpn' }),
      issued(5, { ...due, certPath: null }),
      issued(6, { ...due, certPath: '/files/host2.pem' }),
      issued(7, dates('2026-02-01', '2026-02-04')),
      ...[8, 9, 10].map((i) => issued(i, due)),
      issued(11, { ...dates('2026-01-01', '2026-03-01'), certPath: '/files/host6.pem' }),
      revoked(8),
      revoked(9),
      released(9),
      forgotten(10),
    ])
    const at = new Date('2026-01-05T00:00:00Z')
    const also = [serialOf(11), serialOf(8), serialOf(99)]
    const found = await certificatesOf(state).due(at, { scopes: ['local', 'none'], also })
    const serials = found.entries.map((entry) => entry.certificate.serialNumber)
    // Certificate 2 lost its file to 6, and 7 is not valid yet, as when the clock was set back.
    expect(serials).toEqual([1, 6, 7, 9, 11].map(serialOf))
    expect(found.next).toBe(Date.parse('2026-01-09T00:00:00Z'))
    const nothing = { entries: [], next: null }
    expect(await certificatesOf(state).due(at, { scopes: [] })).toEqual(nothing)
  })
})

test('takes at most 200 octets for each certificate', async () => {
  const state = await temporaryState()
  const count = 20_000
  const name = 'a'.repeat(50)
  const identifiers = Array.from({ length: 5 }, () => ({ type: 'dns' as const, value: name }))
  writeRecord(
    state,
    Array.from({ length: count }, (_, i) => issued(i, { identifiers })),
  )
  const create = vi.fn<(length: number) => void>()
  for (const kind of ['Float64Array', 'Uint32Array'] as const) {
    vi.stubGlobal(
      kind,
      new Proxy(globalThis[kind], {
        construct(target, given: [number]) {
          const made = new target(...given)
          create(made.byteLength)
          return made
        },
      }),
    )
  }
  expect(await certificatesOf(state).find(serialOf(7))).not.toBeNull()
  vi.unstubAllGlobals()
  // Each array is replaced by one that is at least a quarter longer, so the last ones make up the
  // fifth of all, or more.
  const all = create.mock.calls.reduce((sum, [length]) => sum + length, 0)
  expect(all / 5).toBeGreaterThan(count * 4)
  expect(all / 5).toBeLessThan(count * 200)
})

test('each user of the record reads what was appended, and no more, after an issuance elsewhere', async () => {
  const world = await makeWorld()
  const now = () => new Date()
  const [first] = [await world.issue('web')]
  const path = recordPath(world.state)
  appendFileSync(
    path,
    linesOf(Array.from({ length: 2_000 }, (_, i) => issued(i, { certPath: null }))),
  )
  const elsewhere = { ...world.state }
  const acme = createAcmeAuthority({ storage: fileStorage(world.state), now })
  const revocationOf = recordedRevocations(certificatesOf(world.state))
  const source = createRevocationSource(fileStorage(world.state), now)
  const renewal = await startRenewal({ state: world.state, now, log: () => undefined, env: {} })
  await source.crl('local')
  const users = {
    acme: () => acme.find(first.serialNumber),
    mtls: () => revocationOf(first.serialNumber),
    kept: () => source.crl('local'),
    renewal: () => renewal.check(),
    crl: () => makeCrl(fileStorage(world.state), 'local', now()),
    revoke: () => revoke(fileStorage(world.state), { target: first.serialNumber, now: now() }),
  }
  let i = 10_000
  for (const [name, use] of Object.entries(users)) {
    await recordIssued(elsewhere, [certificate(++i, { certPath: null })])
    octets.read = 0
    await use()
    // The record has 700,000 octets.
    expect([name, octets.read < 20_000]).toEqual([name, true])
  }
  await renewal.stop()
})

test('the responder keeps its CRL after an issuance, and makes a new one after a revocation', async () => {
  const world = await makeWorld()
  const source = createRevocationSource(fileStorage(world.state), () => new Date())
  const { serialNumber } = await world.issue('web')
  const first = await source.crl('local')
  await world.issue('other')
  expect(await source.crl('local')).toBe(first)
  await revoke(fileStorage({ ...world.state }), { target: serialNumber, now: new Date() })
  const second = await source.crl('local')
  expect(second).not.toEqual(first)
  expect(await source.crl('local')).toBe(second)
})
