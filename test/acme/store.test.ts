import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { openJournal, readJournal } from '../../src/files/journal.ts'
import type { Order, StoredCertificate } from '../../src/acme/resources.ts'
import { openStore } from '../../src/acme/store/store.ts'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import { temporaryState } from '../helpers/temporary.ts'

let state: StateDirectory
let path: string
beforeEach(async () => {
  state = await temporaryState()
  path = join(state.path, 'acme', 'journal')
})

describe('a journal', () => {
  test('holds every line once it is saved, in order, whoever else writes', async () => {
    const journal = await openJournal({ path, state, snapshot: () => [], longest: () => 1e6 })
    const write = async (writer: number): Promise<void> => {
      for (let i = 0; i < 50; i++) {
        journal.add(`${writer} ${i}`)
        await journal.saved()
        expect(await readFile(path, 'utf8')).toContain(`${writer} ${i}\n`)
      }
    }
    await Promise.all([0, 1, 2, 3].map(write))
    const lines = [...readJournal(path)]
    expect(lines).toHaveLength(200)
    const ofFirst = lines.filter((line) => line.startsWith('0 '))
    expect(ofFirst).toEqual(Array.from({ length: 50 }, (_, i) => `0 ${i}`))
    await journal.close()
  })

  test('grown long is replaced by what is known, and goes on', async () => {
    const known = new Map<string, number>()
    const snapshot = () => [...known].map(([name, value]) => `${name} ${value}`)
    const journal = await openJournal({ path, state, snapshot, longest: () => 10 })
    for (let i = 0; i < 100; i++) {
      known.set(`n${i % 3}`, i)
      journal.add(`n${i % 3} ${i}`)
      await journal.saved()
      expect(journal.length).toBeLessThanOrEqual(10)
      const read = new Map(
        [...readJournal(path)].map((line) => line.split(' ') as [string, string]),
      )
      expect(read).toEqual(new Map([...known].map(([name, value]) => [name, String(value)])))
    }
    await journal.close()
  })

  test('of more octets than worthwhile is replaced too', async () => {
    const known = new Map<string, string>()
    const snapshot = () => [...known.values()]
    const options = { path, state, snapshot, longest: () => 1e6, largest: () => 10_000 }
    const journal = await openJournal(options)
    for (let i = 0; i < 100; i++) {
      const line = `n${i % 3} ${'x'.repeat(1_000)}`
      known.set(`n${i % 3}`, line)
      journal.add(line)
      await journal.saved()
      expect((await readFile(path)).length).toBeLessThan(12_000)
    }
    expect(new Set(readJournal(path))).toEqual(new Set(known.values()))
    await journal.close()
  })

  test('that could not be written keeps its lines for the next try', async () => {
    let longest = 100
    const lines: string[] = []
    const journal = await openJournal({
      path,
      state,
      snapshot: () => lines,
      longest: () => longest,
    })
    longest = 0
    await rm(join(state.path, 'acme'), { recursive: true })
    lines.push('one')
    journal.add('one')
    await expect(journal.saved()).rejects.toMatchObject({ code: 'state-unwritable' })
    await mkdir(join(state.path, 'acme'), { mode: 0o700 })
    await journal.saved()
    expect([...readJournal(path)]).toEqual(['one'])
    await journal.close()
  })
})

describe('a store', () => {
  const day = 86_400_000
  const order = (id: string, expires: number, more: Partial<Order> = {}): Order => ({
    id,
    accountId: 'a',
    identifiers: [{ type: 'dns', value: 'a.localhost' }],
    authorizationIds: [`z${id}`],
    createdAt: 0,
    expires,
    profile: 'default',
    ...more,
  })

  test('forgets orders a month after they and their certificates have ended', async () => {
    const now = () => new Date(100 * day)
    const store = await openStore(state, now)
    const certificate = (id: string, notAfter: number) =>
      ({ id, notAfter, serialNumber: `0${id}`, issuers: '', orderId: id }) as StoredCertificate
    store.put('certificate', certificate('c1', 60 * day))
    store.put('certificate', certificate('c2', 80 * day))
    store.put('order', order('old', 60 * day))
    store.put('order', order('recent', 80 * day))
    store.put('order', order('ended', 1 * day, { certificateId: 'c1' }))
    store.put('order', order('lasting', 1 * day, { certificateId: 'c2' }))
    await store.close()
    const again = await openStore(state, now)
    expect(again.ordersOf('a').map(({ id }) => id)).toEqual(['recent', 'lasting'])
    expect(again.certificateBySerialNumber('0c1')).toBeUndefined()
    expect(again.certificateBySerialNumber('0c2')?.id).toBe('c2')
    await again.close()
  })
})
