import {
  appendFileSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { certificatesOf } from '../../src/storage/files/certificates.ts'
import { compactWhereWorthwhile } from '../../src/storage/files/compact.ts'
import {
  newestOfFile,
  readCurrentInventory,
  readInventory,
  readInventoryOf,
  readNewestFirst,
  recordIssued,
  recordPath,
  revocationOf,
} from '../../src/storage/files/record.ts'
import type { Inventory } from '../../src/storage/records.ts'
import type { Entry } from '../../src/storage/storage.ts'
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

/** A state directory with such a record. */
async function withRecord(events: readonly object[]) {
  const state = await temporaryState()
  writeRecord(state, events)
  return { state, path: recordPath(state) }
}

type State = Awaited<ReturnType<typeof temporaryState>>

/** What a certificate is that ended long ago and was printed. */
const over = {
  notBefore: '2025-01-01T00:00:00.000Z',
  notAfter: '2025-11-01T00:00:00.000Z',
  certPath: null,
}

const file = (i: number): string => `/files/host${i}.pem`
const start = new Date(0)

async function entriesOf(pages: AsyncIterable<readonly Entry[]>): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const page of pages) entries.push(...page)
  return entries
}

/** Returns, for each reader, whether it says that the certificate 1 is revoked, and forgotten. */
async function answers(state: State): Promise<Record<string, readonly [boolean, boolean]>> {
  const onDamage = vi.fn<(sentence: string) => void>()
  const of = ({ certificates, revocations, forgotten: gone }: Inventory) => {
    const { serialNumber } = certificates.find(({ certPath }) => certPath === file(1)) ?? {}
    return [revocations.has(serialNumber ?? ''), gone.has(serialNumber ?? '')] as const
  }
  const ofEntry = (entry: { revocation: unknown; forgotten: boolean } | null | undefined) =>
    [(entry ?? null) !== null && entry?.revocation !== null, entry?.forgotten === true] as const
  const listed = (all: boolean) =>
    [...readNewestFirst(state, { all, onDamage })]
      .flat()
      .find((one) => one.certificate.certPath === file(1))
  const reader = certificatesOf(state)
  const found = {
    readInventory: of(await readInventory(state)),
    readCurrentInventory: of(await readCurrentInventory(state)),
    readInventoryOf: of(await readInventoryOf(state, [file(1)])),
    list: ofEntry(listed(false)),
    'list --all': ofEntry(listed(true)),
    newestOfFile: ofEntry(await newestOfFile(state, file(1))),
    find: ofEntry(await reader.findByFile(file(1))),
  }
  expect(onDamage).not.toHaveBeenCalled()
  return found
}

/** Returns what those say that know revocations alone: `revocationOf`, the index, the CRL, `due`. */
async function revocations(state: State) {
  const reader = certificatesOf(state)
  const serial = serialOf(1)
  const scopes = { scopes: ['local'] }
  const due = await reader.due(new Date('2027-01-01T00:00:00Z'), scopes)
  return {
    revocationOf: (await revocationOf(state, serial)) !== null,
    index: (await reader.revocationOf(serial)) !== null,
    crl: (await reader.revoked('local', start)).length === 1,
    due: due.entries.every((one) => one.certificate.certPath !== file(1)),
  }
}

const everyReader = (answer: readonly [boolean, boolean]) => ({
  readInventory: answer,
  readCurrentInventory: answer,
  readInventoryOf: answer,
  list: answer,
  'list --all': answer,
  newestOfFile: answer,
  find: answer,
})
const revokedEverywhere = { revocationOf: true, index: true, crl: true, due: true }

describe('a last line that has lost its newline', () => {
  test('is an event for every reader', async () => {
    const { state, path } = await withRecord([issued(1), issued(2), forgotten(1), revoked(1)])
    truncateSync(path, statSync(path).size - 1)
    expect(await answers(state)).toEqual(everyReader([true, true]))
    expect(await revocations(state)).toEqual(revokedEverywhere)
    writeRecord(state, [issued(2), issued(1)])
    truncateSync(path, statSync(path).size - 1)
    expect(await answers(state)).toEqual(everyReader([false, false]))
    const pages = certificatesOf(state).all()
    expect(await entriesOf(pages)).toHaveLength(2)
  })

  test('is kept by the next line, which brings the newline', async () => {
    const { state, path } = await withRecord([issued(1), revoked(1)])
    const whole = readFileSync(path, 'utf8')
    truncateSync(path, whole.length - 1)
    await recordIssued(state, [certificate(2)])
    expect(readFileSync(path, 'utf8')).toBe(whole + linesOf([issued(2)]))
  })

  test('is taken once by an index that goes on', async () => {
    const { state, path } = await withRecord([issued(1)])
    const reader = certificatesOf(state)
    expect(await reader.revoked('local', start)).toEqual([])
    const line = linesOf([revoked(1)])
    appendFileSync(path, line.slice(0, -1))
    expect(await reader.revoked('local', start)).toHaveLength(1)
    appendFileSync(path, `\n${linesOf([issued(2)])}{"event":"revoked"}\n`)
    await expect(reader.find(serialOf(2))).rejects.toMatchObject({
      message: expect.stringContaining('Line 4 of'),
    })
    // It is cut off, and the file has become longer all the same.
    writeRecord(state, [issued(1)])
    expect(await reader.revoked('local', start)).toEqual([])
    appendFileSync(path, line.slice(0, -1))
    expect(await reader.revoked('local', start)).toHaveLength(1)
    truncateSync(path, statSync(path).size - line.length + 1)
    appendFileSync(path, linesOf([issued(2), issued(3)]))
    expect(await reader.revoked('local', start)).toEqual([])
    expect(await reader.find(serialOf(3))).not.toBeNull()
  })

  test('stays where the record is compacted', async () => {
    const many = Array.from({ length: 100 }, (_, i) => issued(1_000 + i, over))
    const kept = [...Array.from({ length: 10 }, (_, i) => issued(i + 1)), revoked(1)]
    const { state, path } = await withRecord([...many, ...kept])
    truncateSync(path, statSync(path).size - 1)
    expect(await compactWhereWorthwhile(state, new Date('2026-06-01T00:00:00Z'), 0)).toBe(true)
    expect(readFileSync(path, 'utf8')).toBe(linesOf(kept))
  })
})

test.each(['', '{"event":"iss'])(
  'NULs at the end, as a power cut leaves them after %j, are cut off by the next line',
  async (begun) => {
    const { state, path } = await withRecord([issued(1), revoked(1)])
    appendFileSync(path, begun + '\0'.repeat(4096))
    expect(await answers(state)).toEqual(everyReader([true, false]))
    expect(await revocations(state)).toEqual(revokedEverywhere)
    await recordIssued(state, [certificate(2)])
    expect(readFileSync(path, 'utf8')).toBe(linesOf([issued(1), revoked(1), issued(2)]))
  },
)

describe('what happened to a certificate before its line', () => {
  test('counts for every reader', async () => {
    const { state, path } = await withRecord([revoked(1), forgotten(1), issued(1), issued(2)])
    expect(await answers(state)).toEqual(everyReader([true, true]))
    expect(await revocations(state)).toEqual(revokedEverywhere)
    appendFileSync(path, linesOf([released(1)]))
    expect(await answers(state)).toEqual(everyReader([false, true]))
  })

  test('is due no more, and changes the revocations of its scope when the line comes', async () => {
    const { state, path } = await withRecord([issued(2), revoked(1)])
    const reader = certificatesOf(state)
    const before = await reader.revocationsVersion('local')
    appendFileSync(path, linesOf([issued(1)]))
    expect(await reader.revocationsVersion('local')).not.toBe(before)
    expect(await revocations(state)).toEqual(revokedEverywhere)
  })
})

test('a serial number with and without leading zeros is one for every reader', async () => {
  const given = { serialNumber: `00${serialOf(1)}` }
  for (const [line, event] of [
    [given, {}],
    [{}, given],
  ])
    for (const events of [
      [issued(1, line), { ...revoked(1), ...event }, { ...forgotten(1), ...event }],
      [{ ...revoked(1), ...event }, { ...forgotten(1), ...event }, issued(1, line)],
    ]) {
      const { state } = await withRecord(events)
      expect(await answers(state)).toEqual(everyReader([true, true]))
      expect(await revocations(state)).toEqual(revokedEverywhere)
    }
})

describe('a record that was written over, with the size and the time that it had', () => {
  /** A reader that has read a record, in whose file another text is put afterwards. */
  async function writtenOver(from: string, to: string) {
    const { state, path } = await withRecord([issued(1), issued(2), revoked(1)])
    const reader = certificatesOf(state)
    const { atime, mtime } = statSync(path)
    utimesSync(path, atime, mtime)
    expect(await reader.revocationOf(serialOf(1))).not.toBeNull()
    const text = readFileSync(path, 'utf8')
    expect(text.replace(from, to)).toHaveLength(text.length)
    writeFileSync(path, text.replace(from, to))
    utimesSync(path, atime, mtime)
    return reader
  }

  test('is read anew, and a damaged revocation does not make a certificate good', async () => {
    const damaged = { code: 'corrupt-state', message: expect.stringContaining('Line 3 of') }
    const [from, to] = ['"event":"revoked"', '"event":"revokex"']
    for (const ask of ['revocationOf', 'find'] as const)
      await expect((await writtenOver(from, to))[ask](serialOf(1))).rejects.toMatchObject(damaged)
    const reader = await writtenOver(from, to)
    await expect(reader.revoked('local', start)).rejects.toMatchObject(damaged)
    const pages = (await writtenOver(from, to)).all()
    await expect(entriesOf(pages)).rejects.toMatchObject({ code: 'corrupt-state' })
  })

  test('answers with what is in it now', async () => {
    const revocation = JSON.stringify(revoked(1))
    const other = await writtenOver(revocation, JSON.stringify(revoked(2)))
    expect(await other.revocationOf(serialOf(1))).toBeNull()
    expect(await other.revocationOf(serialOf(2))).not.toBeNull()
    const line = JSON.stringify(issued(2))
    const reader = await writtenOver(line, JSON.stringify(issued(3)))
    expect(await reader.find(serialOf(2))).toBeNull()
    expect(await reader.find(serialOf(3))).not.toBeNull()
  })
})

test('compaction keeps the events of a certificate of which another line stays', async () => {
  const many = Array.from({ length: 100 }, (_, i) => issued(1_000 + i, over))
  const kept = [
    revoked(2),
    issued(1),
    ...Array.from({ length: 10 }, (_, i) => issued(i + 2)),
    { ...revoked(1), serialNumber: `00${serialOf(1)}` },
  ]
  const events = [...many, issued(1, over), issued(2, over), ...kept]
  const { state, path } = await withRecord(events)
  expect(await compactWhereWorthwhile(state, new Date('2026-06-01T00:00:00Z'), 0)).toBe(true)
  expect(readFileSync(path, 'utf8')).toBe(linesOf(kept))
})
