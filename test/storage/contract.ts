import { beforeAll, describe, expect, test } from 'vitest'
import { makeScope } from '../../src/authority/ceremony.ts'
import type { CertificateRecord } from '../../src/storage/records.ts'
import type { ScopeWithKey } from '../../src/storage/scopes.ts'
import type { Change, Entry, Storage } from '../../src/storage/storage.ts'

export interface OpenedStorage {
  readonly storage: Storage
  /** Opens what it holds once more, as another process would. */
  readonly again: () => Storage
  /** What stands after work that threw. */
  readonly afterThrow: 'a prefix' | 'nothing'
}

const now = new Date('2026-06-01T00:00:00Z')
const later = new Date('2026-06-02T00:00:00Z')

const serialOf = (n: number): string => n.toString(16).padStart(32, '0')

function certificate(n: number, change: Partial<CertificateRecord> = {}): CertificateRecord {
  return {
    serialNumber: serialOf(n),
    scope: 'local',
    identifiers: [{ type: 'dns', value: 'localhost' }],
    notBefore: '2026-01-01T00:00:00.000Z',
    notAfter: '2027-01-01T00:00:00.000Z',
    keyType: 'p256',
    purpose: 'server',
    fingerprint: serialOf(n).repeat(2),
    certPath: null,
    keyPath: null,
    ...change,
  }
}

const revocation = (n: number) =>
  ({ serialNumber: serialOf(n), reason: 'keyCompromise', revokedAt: now.toISOString() }) as const

async function serialNumbersOf(pages: AsyncIterable<readonly Entry[]>): Promise<number[]> {
  const numbers: number[] = []
  for await (const page of pages)
    for (const entry of page) numbers.push(parseInt(entry.certificate.serialNumber, 16))
  return numbers
}

/** Tries on a storage what `Storage` promises. Each test opens an empty one. */
export function describeStorage(name: string, open: () => Promise<OpenedStorage>): void {
  describe(`storage in ${name}`, () => {
    let local: ScopeWithKey
    let work: ScopeWithKey
    beforeAll(async () => {
      const plan = { permitted: [], constraints: null }
      local = await makeScope({ ...plan, name: 'local' }, now)
      work = await makeScope({ ...plan, name: 'work', use: 'clients' }, now)
    })
    const withoutKey = ({ intermediateKey: _key, ...scope }: ScopeWithKey) => scope
    const create = (change: Change, scope: ScopeWithKey, part?: '.next'): Promise<boolean> =>
      change.createScope(withoutKey(scope), scope.intermediateKey, part)

    describe('scopes', () => {
      test('none are there at first', async () => {
        const { storage } = await open()
        expect(await storage.scopes.names()).toEqual([])
        expect(await storage.scopes.parts()).toEqual([])
        await expect(storage.scopes.read('local')).rejects.toMatchObject({ code: 'corrupt-state' })
      })

      test('come back as they were made, local first, and the key by its digest alone', async () => {
        const { storage } = await open()
        const made = await storage.change(async (change) => [
          await create(change, { ...work, scope: { ...work.scope, name: 'a-work' } }),
          await create(change, local),
        ])
        expect(made).toEqual([true, true])
        expect(await storage.scopes.names()).toEqual(['local', 'a-work'])
        const read = await storage.scopes.read('local')
        const { scope, root, intermediate } = local
        expect(read).toMatchObject({ scope, root, intermediate })
        expect(JSON.stringify(read)).not.toContain('PRIVATE KEY')
        expect(await storage.keys.read('local', read.keyDigest)).toBe(local.intermediateKey)
        const other = (await storage.scopes.read('a-work')).keyDigest
        await expect(storage.keys.read('local', other)).rejects.toMatchObject({
          code: 'corrupt-state',
        })
        expect(await storage.scopes.rootCrl('local')).toEqual(local.rootCrl)
        expect(await storage.scopes.rootOcsp('local')).toBeNull()
        expect(await storage.scopes.rootOcsp('a-work')).toEqual(work.rootOcsp)
      })

      test('a name that is taken stays what it is', async () => {
        const { storage } = await open()
        await storage.change((change) => create(change, local))
        const again = await makeScope({ name: 'local', permitted: [], constraints: null }, now)
        expect(await storage.change((change) => create(change, again))).toBe(false)
        expect((await storage.scopes.read('local')).root).toBe(local.root)
      })

      test('a rotation puts the next in the place of the old, with its key', async () => {
        const { storage } = await open()
        const next = await makeScope({ name: 'local', permitted: [], constraints: null }, later)
        await storage.change((change) => create(change, local))
        await storage.change((change) => create(change, next, '.next'))
        expect(await storage.scopes.parts()).toEqual([{ name: 'local', part: '.next' }])
        expect((await storage.scopes.read('local')).root).toBe(local.root)
        await storage.change((change) => change.switchScope('local'))
        const current = await storage.scopes.read('local')
        expect(current.root).toBe(next.root)
        expect(await storage.keys.read('local', current.keyDigest)).toBe(next.intermediateKey)
        expect(await storage.scopes.parts()).toEqual([{ name: 'local', part: '.old' }])
        expect((await storage.scopes.read('local', '.old')).root).toBe(local.root)
        await storage.change((change) => change.deleteScope('local', '.old'))
        expect(await storage.scopes.parts()).toEqual([])
        expect(await storage.scopes.names()).toEqual(['local'])
      })

      test('a deleted scope is gone with its key, and deleting it again is success', async () => {
        const { storage } = await open()
        await storage.change((change) => create(change, local))
        const { keyDigest } = await storage.scopes.read('local')
        for (let i = 0; i < 2; i++)
          expect(await storage.change((change) => change.deleteScope('local'))).toEqual([])
        expect(await storage.scopes.names()).toEqual([])
        await expect(storage.keys.read('local', keyDigest)).rejects.toMatchObject({
          code: 'corrupt-state',
        })
      })

      test('the version differs after each change and is the same without one', async () => {
        const { storage } = await open()
        const versions = [await storage.scopes.version()]
        const next = await makeScope({ name: 'local', permitted: [], constraints: null }, later)
        const steps: ((change: Change) => Promise<unknown>)[] = [
          (change) => create(change, local),
          (change) => create(change, next, '.next'),
          (change) => change.switchScope('local'),
          (change) => change.deleteScope('local', '.old'),
          (change) => change.deleteScope('local'),
        ]
        for (const step of steps) {
          await storage.change(step)
          versions.push(await storage.scopes.version())
          expect(await storage.scopes.version()).toBe(versions.at(-1))
        }
        expect(new Set(versions).size).toBe(versions.length)
      })
    })

    describe('certificates', () => {
      test('none are there at first', async () => {
        const { storage } = await open()
        expect(await storage.certificates.find(serialOf(1))).toBeNull()
        expect(await serialNumbersOf(storage.certificates.all())).toEqual([])
        expect(await storage.certificates.revoked('local', now)).toEqual([])
      })

      test('are found by serial number and by fingerprint, with all that was recorded', async () => {
        const { storage } = await open()
        const full = certificate(7, {
          identifiers: [
            { type: 'dns', value: '*.xn--mnchen-3ya.test' },
            { type: 'ip', value: '::1' },
            { type: 'email', value: 'a@b.test' },
          ],
          subject: 'CN=Jürgen,O=Büro',
          certPath: '/tmp/häuser/"a\\b".pem',
          keyPath: '/tmp/k.pem',
          extra: [{ format: 'pkcs12', path: '/tmp/a.p12', passwordFile: '/tmp/p', legacy: true }],
          keyMode: '0640',
          onRenew: 'systemctl reload "x"\n',
          onRenewSeconds: 5,
          revocationUrl: 'http://127.0.0.1:1/',
          responder: 'daemon',
        })
        await storage.change((change) => change.issued([certificate(6), full, certificate(8)]))
        const entry: Entry = { certificate: full, revocation: null, forgotten: false }
        expect(await storage.certificates.find(serialOf(7))).toEqual(entry)
        expect(await storage.certificates.findByFingerprint(full.fingerprint)).toEqual(entry)
        expect(await storage.certificates.find(serialOf(9))).toBeNull()
        expect(await storage.certificates.findByFingerprint(serialOf(9).repeat(2))).toBeNull()
        expect(await serialNumbersOf(storage.certificates.all())).toEqual([6, 7, 8])
      })

      test('the newest of each file are current, and printed ones where they are asked for', async () => {
        const { storage } = await open()
        const paths = ['/a', '/b', null, '/a', null, '/c', '/b']
        await storage.change((change) =>
          change.issued(paths.map((certPath, i) => certificate(i + 1, { certPath }))),
        )
        expect(await serialNumbersOf(storage.certificates.current())).toEqual([4, 6, 7])
        const printed = storage.certificates.current({ printed: true })
        expect(await serialNumbersOf(printed)).toEqual([3, 4, 5, 6, 7])
      })

      test('many come in pages, each with its revocation', async () => {
        const { storage } = await open()
        const many = Array.from({ length: 5_000 }, (_, i) =>
          certificate(i + 1, { certPath: `/${i % 4_000}` }),
        )
        await storage.change(async (change) => {
          await change.issued(many, { durable: false })
          await change.revoked(revocation(4_500))
        })
        expect(await serialNumbersOf(storage.certificates.all())).toHaveLength(5_000)
        expect(await serialNumbersOf(storage.certificates.current())).toHaveLength(4_000)
        const revoked: string[] = []
        for await (const page of storage.certificates.all())
          for (const one of page)
            if (one.revocation !== null) revoked.push(one.certificate.serialNumber)
        expect(revoked).toEqual([serialOf(4_500)])
      })

      test('a revocation is replaced by a later one, and a released one is none', async () => {
        const { storage } = await open()
        await storage.change((change) => change.issued([certificate(1), certificate(2)]))
        const hold = { ...revocation(1), reason: 'certificateHold' } as const
        await storage.change((change) => change.revoked(hold))
        expect((await storage.certificates.find(serialOf(1)))?.revocation).toEqual(hold)
        await storage.change((change) => change.revoked(revocation(1)))
        expect((await storage.certificates.find(serialOf(1)))?.revocation).toEqual(revocation(1))
        expect((await storage.certificates.find(serialOf(2)))?.revocation).toBeNull()
        await storage.change((change) => change.released(serialOf(1), later))
        expect((await storage.certificates.find(serialOf(1)))?.revocation).toBeNull()
      })

      test('what happened to a certificate before it is on record counts', async () => {
        const { storage } = await open()
        const { certificates } = storage
        const due = { ...certificate(1), certPath: '/1' }
        await storage.change(async (change) => {
          await change.issued([certificate(3)])
          await change.revoked(revocation(1))
          await change.forgotten([serialOf(2)], later)
        })
        expect(await certificates.revocationOf(serialOf(1))).toEqual(revocation(1))
        const before = await certificates.revocationsVersion('local')
        await storage.change((change) =>
          change.issued([due, { ...certificate(2), certPath: '/2' }]),
        )
        expect(await certificates.revocationsVersion('local')).not.toBe(before)
        expect((await certificates.find(serialOf(1)))?.revocation).toEqual(revocation(1))
        expect((await certificates.find(serialOf(2)))?.forgotten).toBe(true)
        expect(await certificates.revoked('local', now)).toHaveLength(1)
        const { entries } = await certificates.due(new Date(due.notAfter), { scopes: ['local'] })
        expect(entries).toEqual([])
      })

      test('the revoked of a scope are those that end at a time or later', async () => {
        const { storage } = await open()
        const ended = { notAfter: '2026-05-01T00:00:00.000Z' }
        await storage.change(async (change) => {
          await change.issued([
            certificate(1),
            certificate(2, { scope: 'work' }),
            certificate(3, ended),
            certificate(4),
          ])
          for (const n of [1, 2, 3]) await change.revoked(revocation(n))
        })
        const of = async (scope: string, at: Date): Promise<string[]> =>
          (await storage.certificates.revoked(scope, at)).map((one) => one.certificate.serialNumber)
        expect(await of('local', now)).toEqual([serialOf(1)])
        expect((await of('local', new Date(ended.notAfter))).toSorted()).toEqual(
          [1, 3].map(serialOf),
        )
        expect(await of('work', now)).toEqual([serialOf(2)])
        expect(await of('none', now)).toEqual([])
      })

      test('the forgotten are told, and stay known with their revocation', async () => {
        const { storage } = await open()
        await storage.change(async (change) => {
          await change.issued([1, 2, 3].map((n) => certificate(n, { certPath: `/${n}` })))
          await change.revoked(revocation(1))
          await change.forgotten([serialOf(1), serialOf(3)], later)
        })
        const forgotten: boolean[] = []
        for await (const page of storage.certificates.all())
          for (const one of page) forgotten.push(one.forgotten)
        expect(forgotten).toEqual([true, false, true])
        expect(await storage.certificates.revoked('local', now)).toHaveLength(1)
      })

      test('the version differs after each change and is the same without one', async () => {
        const { storage } = await open()
        const versions = [await storage.certificates.version()]
        const steps: ((change: Change) => Promise<unknown>)[] = [
          (change) => change.issued([certificate(1, { certPath: '/1' })]),
          (change) => change.issued([certificate(2)], { durable: false }),
          (change) => change.revoked({ ...revocation(1), reason: 'certificateHold' }),
          (change) => change.released(serialOf(1), later),
          (change) => change.forgotten([serialOf(1)], later),
        ]
        for (const step of steps) {
          await storage.change(step)
          versions.push(await storage.certificates.version())
          expect(await storage.certificates.version()).toBe(versions.at(-1))
        }
        expect(new Set(versions).size).toBe(versions.length)
      })
    })

    describe('a change', () => {
      test('runs alone', async () => {
        const { storage } = await open()
        let [running, most] = [0, 0]
        const work = Array.from({ length: 8 }, (_, i) =>
          storage.change(async (change) => {
            most = Math.max(most, ++running)
            await change.issued([certificate(i + 1)])
            await new Promise((resolve) => setTimeout(resolve, 2))
            running--
          }),
        )
        await Promise.all(work)
        expect(most).toBe(1)
        expect(await serialNumbersOf(storage.certificates.all())).toHaveLength(8)
      })

      test('sees what it wrote itself', async () => {
        const { storage } = await open()
        const seen = await storage.change(async (change) => {
          await change.issued([certificate(1)])
          await change.revoked(revocation(1))
          await create(change, local)
          return [
            (await change.certificates.find(serialOf(1)))?.revocation?.reason,
            await change.scopes.names(),
          ]
        })
        expect(seen).toEqual(['keyCompromise', ['local']])
      })

      test('whose work throws leaves a prefix of its calls or nothing, and the next one runs', async () => {
        const { storage, afterThrow } = await open()
        await storage.change((change) => change.issued([certificate(1)]))
        const failing = storage.change(async (change) => {
          await change.issued([certificate(2)])
          await change.revoked(revocation(1))
          throw new Error('no more')
        })
        await expect(failing).rejects.toThrow('no more')
        const { certificates } = storage
        const kept = afterThrow === 'a prefix'
        expect(await serialNumbersOf(certificates.all())).toEqual(kept ? [1, 2] : [1])
        expect((await certificates.find(serialOf(1)))?.revocation).toEqual(
          kept ? revocation(1) : null,
        )
        await storage.change((change) => change.issued([certificate(3)]))
        expect(await certificates.find(serialOf(3))).not.toBeNull()
      })

      test('CRL numbers only grow, are above the clock, and each scope has its own', async () => {
        const { storage } = await open()
        const seconds = now.getTime() / 1000
        await storage.change((change) => create(change, local))
        await storage.change((change) => create(change, work))
        const next = (scope: string, at: Date): Promise<number> =>
          storage.change((change) => change.nextCrlNumber(scope, at))
        expect(await next('local', now)).toBe(seconds)
        expect(await next('local', now)).toBe(seconds + 1)
        expect(await next('local', new Date(0))).toBe(seconds + 2)
        expect(await next('work', now)).toBe(seconds)
        const both = await Promise.all([next('local', now), next('local', now)])
        expect(new Set(both).size).toBe(2)
      })
    })

    test('what another process opens has all of it, and sees what comes', async () => {
      const { storage, again } = await open()
      await storage.change(async (change) => {
        await create(change, local)
        await change.issued([certificate(1), certificate(2)])
        await change.revoked(revocation(2))
      })
      const other = again()
      expect(await other.scopes.names()).toEqual(['local'])
      expect((await other.certificates.find(serialOf(2)))?.revocation).toEqual(revocation(2))
      await storage.change((change) => change.issued([certificate(3)]))
      expect(await other.certificates.find(serialOf(3))).not.toBeNull()
      await other.change((change) => change.revoked(revocation(3)))
      expect((await storage.certificates.find(serialOf(3)))?.revocation).toEqual(revocation(3))
    })
  })
}
