import { appendFileSync, readFileSync, statSync } from 'node:fs'
import { expect, test } from 'vitest'
import { currentCertificates } from '../../src/certificates/status.ts'
import { certificatesOf } from '../../src/storage/files/certificates.ts'
import { compactWhereWorthwhile } from '../../src/storage/files/compact.ts'
import { readInventory, recordPath } from '../../src/storage/files/record.ts'
import {
  forgotten,
  issued,
  linesOf,
  released,
  revoked,
  serialOf,
  writeRecord,
} from '../helpers/filled-record.ts'
import { temporaryState } from '../helpers/temporary.ts'

const now = new Date('2027-06-01T00:00:00Z')
const dates = (notBefore: string, notAfter: string) => ({
  notBefore: `${notBefore}T00:00:00.000Z`,
  notAfter: `${notAfter}T00:00:00.000Z`,
})
const over = dates('2026-01-01', '2027-03-01')
const endedLately = dates('2026-01-01', '2027-05-20')
const valid = dates('2027-05-01', '2028-05-01')
const printed = { certPath: null }

/** Certificates that ended long ago, so many that the record is worth it. */
const many = Array.from({ length: 100 }, (_, i) => issued(1_000 + i, { ...over, ...printed }))

async function compacted(events: readonly object[], at = now) {
  const state = await temporaryState()
  writeRecord(state, events)
  const before = await readInventory(state)
  const changed = await compactWhereWorthwhile(state, at, 0)
  return { state, before, changed, after: await readInventory(state) }
}

test('drops what ended a month ago with its events, and keeps all that counts', async () => {
  const a = { certPath: '/a.pem' }
  const b = { certPath: '/b.pem' }
  const young = Array.from({ length: 12 }, (_, i) => issued(500 + i, { ...valid, ...printed }))
  const kept = [
    issued(1, { ...valid, ...printed }),
    issued(2, { ...endedLately, ...printed }),
    revoked(2),
    // Replaced, but perhaps in use elsewhere.
    issued(3, { ...valid, ...a }),
    issued(5, { ...over, ...a }),
    forgotten(5),
    issued(7, { ...over, ...b }),
    revoked(7),
    released(7),
    revoked(1),
    // The certificate is not on record: a person deleted its damaged line.
    revoked(99),
    ...young,
  ]
  const dropped = [
    issued(4, { ...over, ...a }),
    revoked(4),
    issued(6, { ...over, ...b }),
    forgotten(6),
    released(6),
  ]
  const events = [...many, ...dropped, ...kept]
  const { state, before, after, changed } = await compacted(events)
  expect(changed).toBe(true)
  expect(readFileSync(recordPath(state), 'utf8')).toBe(linesOf(kept))
  const inFiles = ({ certificates }: typeof before) =>
    currentCertificates(certificates).filter(({ certPath }) => certPath !== null)
  expect(inFiles(after)).toEqual(inFiles(before))
  expect(statSync(recordPath(state)).mode & 0o777).toBe(0o600)
})

test('leaves a record that would not be half as long, is short, or has a damaged line', async () => {
  const young = Array.from({ length: 101 }, (_, i) => issued(i, { ...valid, ...printed }))
  expect((await compacted([...many, ...young])).changed).toBe(false)
  const state = await temporaryState()
  writeRecord(state, [...many, issued(1, valid)])
  expect(await compactWhereWorthwhile(state, now)).toBe(false)
  appendFileSync(recordPath(state), '{"event":"revoked"}\n')
  const text = readFileSync(recordPath(state), 'utf8')
  expect(await compactWhereWorthwhile(state, now, 0)).toBe(false)
  expect(readFileSync(recordPath(state), 'utf8')).toBe(text)
  expect(await compactWhereWorthwhile(await temporaryState(), now, 0)).toBe(false)
})

test('a clock that is years ahead drops nothing, also when certificates were renewed by it', async () => {
  const a = dates('2026-01-01', '2026-12-01')
  const wrong = dates('2035-01-01', '2036-01-01')
  const events = [
    ...Array.from({ length: 100 }, (_, i) => issued(i, { ...a, ...printed })),
    ...Array.from({ length: 5 }, (_, i) => issued(200 + i, { ...wrong, ...printed })),
  ]
  const { changed } = await compacted(events, new Date('2035-01-02T00:00:00Z'))
  expect(changed).toBe(false)
})

test('an unfinished line is cut off, and readers see the new record', async () => {
  const state = await temporaryState()
  const young = Array.from({ length: 10 }, (_, i) => issued(i, { ...valid, ...printed }))
  writeRecord(state, [...many, ...young])
  const reader = certificatesOf({ ...state })
  expect(await reader.find(serialOf(1_000))).not.toBeNull()
  appendFileSync(recordPath(state), '{"event":"issu')
  expect(await compactWhereWorthwhile(state, now, 0)).toBe(true)
  expect(readFileSync(recordPath(state), 'utf8')).toBe(linesOf(young))
  expect(await reader.find(serialOf(1_000))).toBeNull()
  expect(await reader.find(serialOf(1))).not.toBeNull()
})
