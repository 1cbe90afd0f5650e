import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type {
  Account,
  Authorization,
  EabKey,
  Order,
  StoredCertificate,
} from '../../../src/acme/resources.ts'
import {
  commitStep,
  mostOrders,
  type AcmeStore,
  type Need,
  type Unit,
} from '../../../src/acme/store/contract.ts'
import type { Recording } from '../../../src/certificates/issuer.ts'
import type { CertificateRecord } from '../../../src/storage/records.ts'

/** What happens to a recording: it is written, the scopes have changed, or the record is full. */
type Fate = 'written' | 'changed' | 'full'

/** Where an adapter keeps its state, and the certificates that the authority has on record. */
export interface Place {
  /**
   * Opens the store. Where another one is open, that one is as good as killed: it is not used or closed
   * any more.
   */
  open(): Promise<AcmeStore>
  /** The serial numbers on record. */
  recorded(): Promise<readonly string[]>
  /** Makes a recording. Where the store calls its `write`, `during` runs before that writes. */
  recording(
    serialNumber: string,
    fate: Fate,
    during: () => Promise<unknown>,
  ): Promise<Pick<Recording, 'certificate' | 'write'> & Partial<Recording>>
  /** What one throws that is full. */
  readonly full: RegExp
  /** Whether the store calls `write`. */
  readonly callsWrite: boolean
}

/** A record beside the store, which writes by the function that it is given. */
export function recordBeside(): Omit<Place, 'open'> {
  const serials = new Set<string>()
  return {
    recorded: () => Promise.resolve([...serials]),
    recording(serialNumber, fate, during) {
      const write = async (): Promise<boolean> => {
        await during()
        if (fate === 'full') throw new Error('the disk is full')
        if (fate === 'written') serials.add(serialNumber)
        return fate === 'written'
      }
      return Promise.resolve({ certificate: { serialNumber } as CertificateRecord, write })
    },
    full: /the disk is full/,
    callsWrite: true,
  }
}

interface Recorded {
  readonly during?: () => Promise<unknown>
  readonly nonce?: string
}

const account = (id: string, more: Partial<Account> = {}): Account => ({
  id,
  status: 'valid',
  jwk: { kty: 'EC' },
  thumbprint: `thumbprint of ${id}`,
  contact: [],
  termsOfServiceAgreed: true,
  createdAt: 0,
  ...more,
})
const identifier = { type: 'dns', value: 'a.localhost' } as const
const expires = Date.now() + 86_400_000
const order = (id: string, more: Partial<Order> = {}): Order => ({
  id,
  accountId: 'a',
  identifiers: [identifier],
  authorizationIds: [`z${id}`],
  createdAt: 0,
  expires,
  profile: 'default',
  ...more,
})
const authorization = (id: string, more: Partial<Authorization> = {}): Authorization => ({
  id,
  accountId: 'a',
  identifier,
  wildcard: false,
  expires,
  deactivated: false,
  challenges: [{ id: 'c', type: 'http-01', token: 't' }],
  ...more,
})
const certificate = (id: string, serialNumber: string): StoredCertificate => ({
  id,
  accountId: 'a',
  orderId: 'o',
  identifiers: [identifier],
  serialNumber,
  issuerKeyIdentifier: '00',
  notBefore: 0,
  notAfter: expires,
  leaf: 'leaf',
  issuers: 'issuers',
})

/** Describes what every adapter of `AcmeStore` promises. */
export function describeStore(name: string, makePlace: () => Promise<Place>): void {
  describe(`a store in ${name}`, () => {
    let place: Place
    let store: AcmeStore
    beforeEach(async () => {
      place = await makePlace()
      store = await place.open()
      onTestFinished(() => store.close())
    })

    /** What is known, read anew. */
    const look = <T>(need: Need, read: (unit: Unit) => T, from = store): Promise<T> =>
      from.open(need).then(read)
    const put = (need: Need, step: (unit: Unit) => void) => commitStep(store, need, step)
    const putOrder = () =>
      put({}, (unit) => {
        unit.put('account', account('a'))
        unit.put('authorization', authorization('zo'))
        unit.put('order', order('o'))
      })
    const kill = async (): Promise<void> => {
      store = await place.open()
    }

    test('shows a unit what it put, and others when it is committed', async () => {
      const unit = await store.open({ account: 'a' })
      unit.put('account', account('a'))
      expect(unit.get('account', 'a')).toEqual(account('a'))
      expect(await look({ account: 'a' }, (one) => one.get('account', 'a'))).toBeUndefined()
      expect(await unit.commit(null)).toBe('done')
      expect(await look({ account: 'a' }, (one) => one.get('account', 'a'))).toEqual(account('a'))
    })

    test('never has what was not committed, also after a kill', async () => {
      const unit = await store.open({ account: 'a' })
      unit.put('account', account('a'))
      await kill()
      expect(await look({ account: 'a' }, (one) => one.get('account', 'a'))).toBeUndefined()
    })

    test('keeps all of a commit over a kill, each kind of resource with all its members', async () => {
      const all = {
        account: account('a', { contact: ['mailto:a@b.test'], externalAccountBinding: { x: 1 } }),
        eabKey: {
          id: 'k',
          key: 'secret',
          createdAt: 7,
          label: 'CI',
          uses: 2,
          names: ['*.a.test', '10.0.0.0/8'],
          preauthorized: ['*.a.test'],
          profiles: ['short'],
          expires,
          revoked: 9,
        },
        order: order('o', { certificateId: 'c', csrDigest: 'd', notAfter: expires, replaces: 'r' }),
        authorization: authorization('zo', {
          wildcard: true,
          deactivated: true,
          preauthorized: true,
          challenges: [
            { id: 'c1', type: 'http-01', token: 't1', requested: 1, validated: 2 },
            {
              id: 'c2',
              type: 'dns-01',
              token: 't2',
              requested: 3,
              error: { type: 'urn:x', detail: 'd', status: 400, identifier },
            },
            { id: 'c3', type: 'tls-alpn-01', token: 't3' },
          ],
        }),
        certificate: { ...certificate('c', 'ab'), replacedBy: 'other' },
      }
      await put({}, (unit) => {
        for (const [kind, one] of Object.entries(all)) unit.put(kind as 'account', one as Account)
      })
      await kill()
      const need = { account: 'a', eabKey: 'k', order: 'o', authorization: 'zo', certificate: 'c' }
      const read = await look(need, (unit) => ({
        account: unit.get('account', 'a'),
        eabKey: unit.get('eabKey', 'k'),
        order: unit.get('order', 'o'),
        authorization: unit.get('authorization', 'zo'),
        certificate: unit.get('certificate', 'c'),
      }))
      expect(read).toEqual(all)
    })

    test('shows an account with the key that it is bound to, and lists all keys', async () => {
      const keys = ['k2', 'k1', 'k3'].map((id, i) => ({ id, key: `secret ${id}`, createdAt: i }))
      await put({}, (unit) => {
        for (const key of keys) unit.put('eabKey', key)
        unit.put('account', account('a', { eabKeyId: 'k1' }))
      })
      const found = await look({ account: 'a' }, (unit) => unit.get('eabKey', 'k1'))
      expect(found).toEqual(keys[1])
      const revoked = { ...keys[0], revoked: 5 } as EabKey
      await put({ eabKey: 'k2' }, (unit) => {
        unit.get('eabKey', 'k2')
        unit.put('eabKey', revoked)
      })
      await kill()
      expect(await store.eabKeys()).toEqual([revoked, keys[1], keys[2]])
    })

    test('reads of an account a page of orders, and one order more, the latest first', async () => {
      const ids = Array.from({ length: mostOrders + 2 }, (_, i) => `o${1_000 + i}`)
      await put({}, (unit) => {
        unit.put('account', account('a'))
        for (const [i, id] of ids.entries())
          unit.put('order', order(id, { createdAt: Math.floor(i / 2), authorizationIds: [] }))
      })
      const page = (before?: string) =>
        look({ ordersOf: 'a', ordersBefore: before }, (unit) =>
          unit.ordersOf('a', before).map(({ id }) => id),
        )
      const latest = ids.toReversed()
      expect(await page()).toEqual(latest.slice(0, mostOrders))
      expect(await page(latest[mostOrders - 1])).toEqual(latest.slice(mostOrders))
    })

    test('finds accounts by key, certificates by serial number, and orders by account', async () => {
      await putOrder()
      await put({}, (unit) => {
        unit.put('order', order('p', { certificateId: 'c' }))
        unit.put('authorization', authorization('zp'))
        unit.put('certificate', certificate('c', 'ab'))
        unit.put('order', order('q', { accountId: 'b' }))
      })
      const found = await look(
        { thumbprint: 'thumbprint of a', serialNumber: 'ab', ordersOf: 'a', unfinishedOf: 'a' },
        (unit) => [
          unit.accountByThumbprint('thumbprint of a')?.id,
          unit.certificateBySerialNumber('ab')?.id,
          unit.ordersOf('a').map(({ id }) => id),
          unit.unfinished.ordersOf('a'),
          unit.unfinished.namesOf('a'),
          unit.get('authorization', 'zp')?.id,
        ],
      )
      expect(found).toEqual(['a', 'c', ['p', 'o'], ['o'], 1, 'zp'])
      const before = async (id: string) =>
        look({ ordersOf: 'a', ordersBefore: id }, (unit) =>
          unit.ordersOf('a', id).map((one) => one.id),
        )
      expect([await before('p'), await before('o'), await before('q')]).toEqual([['o'], [], []])
      const none = await look({ thumbprint: 'x', serialNumber: 'cd' }, (unit) => [
        unit.accountByThumbprint('x'),
        unit.certificateBySerialNumber('cd'),
      ])
      expect(none).toEqual([undefined, undefined])
    })

    test('finds a changed key alone, and the certificate that an order replaces', async () => {
      await put({}, (unit) => {
        unit.put('account', account('a'))
        unit.put('certificate', certificate('c', 'ab'))
        unit.put('order', order('o', { replaces: 'AA.qw' }))
      })
      const change = { ...account('a'), thumbprint: 'new' }
      await put({ account: 'a' }, (unit) => unit.put('account', change))
      const need = { thumbprint: 'thumbprint of a', order: 'o' }
      const [old, replaced] = await look(need, (unit) => [
        unit.accountByThumbprint('thumbprint of a'),
        unit.certificateBySerialNumber('ab')?.id,
      ])
      expect([old, replaced]).toEqual([undefined, 'c'])
      const found = await look({ thumbprint: 'new' }, (unit) => unit.accountByThumbprint('new'))
      expect(found).toEqual(change)
    })

    test('counts every one of many changes to the same resource, made at once', async () => {
      await put({}, (unit) => unit.put('account', account('a')))
      const add = async (contact: string): Promise<void> => {
        for (;;) {
          const unit = await store.open({ account: 'a' })
          await new Promise((resolve) => setImmediate(resolve))
          const current = unit.get('account', 'a') as Account
          unit.put('account', { ...current, contact: [...current.contact, contact] })
          if ((await unit.commit(null)) === 'done') return
        }
      }
      const all = Array.from({ length: 20 }, (_, i) => `mailto:${i}@b.test`)
      await Promise.all(all.map(add))
      const contact = await look({ account: 'a' }, (unit) => unit.get('account', 'a')?.contact)
      expect(contact?.toSorted()).toEqual(all.toSorted())
    })

    test('gives a key to one of many accounts that are made at once', async () => {
      const make = async (id: string): Promise<string> => {
        for (;;) {
          const unit = await store.open({ thumbprint: 'same' })
          await new Promise((resolve) => setImmediate(resolve))
          const existing = unit.accountByThumbprint('same')
          if (existing !== undefined) return existing.id
          unit.put('account', account(id, { thumbprint: 'same' }))
          if ((await unit.commit(null)) === 'done') return id
        }
      }
      const made = await Promise.all(['a', 'b', 'c', 'd'].map(make))
      expect(new Set(made).size).toBe(1)
    })

    test('lets a nonce be used once, also after a kill and by requests at once', async () => {
      const [nonce, other, last] = [store.nonces.make(), store.nonces.make(), store.nonces.make()]
      expect(store.nonces.isOurs(nonce)).toBe(true)
      const use = async (one: string, id: string) => {
        const unit = await store.open({ account: id })
        unit.put('account', account(id))
        return unit.commit(one)
      }
      const outcomes = await Promise.all(['a', 'b', 'c'].map((id) => use(nonce, id)))
      expect(outcomes.toSorted()).toEqual(['done', 'replayed', 'replayed'])
      const made = ['a', 'b', 'c'].map((id) =>
        look({ account: id }, (unit) => unit.get('account', id)),
      )
      expect((await Promise.all(made)).filter((one) => one !== undefined)).toHaveLength(1)
      expect(await use(other, 'd')).toBe('done')
      await kill()
      expect(await use(nonce, 'e')).toBe('replayed')
      expect(await use(other, 'e')).toBe('replayed')
      expect(await look({ account: 'e' }, (unit) => unit.get('account', 'e'))).toBeUndefined()
      expect(await use(last, 'e')).toBe('done')
    })

    test('reads and uses up the nonce in one step', async () => {
      const put = await store.open({})
      put.put('account', account('a'))
      await put.commit(null)
      const nonce = store.nonces.make()
      const units = await Promise.all([1, 2, 3].map(() => store.read({ account: 'a' }, nonce)))
      const [unit, ...more] = units.filter((one) => one !== null)
      expect(more).toEqual([])
      expect(unit?.get('account', 'a')).toEqual(account('a'))
      expect(await unit?.commit(null)).toBe('done')
      expect(await store.read({}, nonce)).toBeNull()
      expect(await (await store.open({})).commit(nonce)).toBe('replayed')
      const used = store.nonces.make()
      expect(await (await store.open({})).commit(used)).toBe('done')
      expect(await store.read({ account: 'a' }, used)).toBeNull()
      expect(await store.read({}, 'AAAA')).toBeNull()
    })

    test('knows the nonces of another store', async () => {
      const other = await (await makePlace()).open()
      onTestFinished(() => other.close())
      const nonce = other.nonces.make()
      for (const one of [nonce, '', 'AAAA']) {
        expect(store.nonces.isOurs(one)).toBe(false)
        expect(await (await store.open({})).commit(one)).toBe('replayed')
      }
    })

    /** A unit with a certificate for the order `o`; `null`: the order has one. */
    async function unitWith(serialNumber: string, fate: Fate, during?: () => Promise<unknown>) {
      const unit = await store.open({ order: 'o' })
      const current = unit.get('order', 'o') as Order
      if (current.certificateId !== undefined) return null
      unit.put('certificate', certificate(`c${serialNumber}`, serialNumber))
      unit.put('order', { ...current, certificateId: `c${serialNumber}` })
      const nothing = () => Promise.resolve()
      unit.record((await place.recording(serialNumber, fate, during ?? nothing)) as Recording)
      return unit
    }
    const record = async (serialNumber: string, fate: Fate, { during, nonce }: Recorded = {}) =>
      (await unitWith(serialNumber, fate, during))?.commit(nonce ?? null) ?? 'late'
    const certificateId = () =>
      look({ order: 'o' }, (unit) => unit.get('order', 'o')?.certificateId)

    test('gives a certificate to the order and the record in one step', async () => {
      await putOrder()
      const seen: unknown[] = []
      const during = async () =>
        void seen.push(await certificateId(), await look({ serialNumber: 'ab' }, findAb))
      expect(await record('ab', 'written', { during })).toBe('done')
      expect(seen).toEqual(place.callsWrite ? [undefined, undefined] : [])
      expect(await certificateId()).toBe('cab')
      expect(await place.recorded()).toEqual(['ab'])
      await kill()
      expect(await certificateId()).toBe('cab')
      expect(await look({ serialNumber: 'ab' }, findAb)).toBe('cab')
    })
    const findAb = (unit: Unit) => unit.certificateBySerialNumber('ab')?.id

    test('conflicts where the authority has changed, and leaves nonce and order as they were', async () => {
      await putOrder()
      const nonce = store.nonces.make()
      expect(await record('ab', 'changed', { nonce })).toBe('conflict')
      expect(await certificateId()).toBeUndefined()
      expect(await record('cd', 'written', { nonce })).toBe('done')
      expect(await certificateId()).toBe('ccd')
      await kill()
      expect(await certificateId()).toBe('ccd')
      expect(await look({ serialNumber: 'ab' }, findAb)).toBeUndefined()
      expect(await place.recorded()).toEqual(['cd'])
    })

    test('leaves everything as it was where the record cannot be written', async () => {
      await putOrder()
      const nonce = store.nonces.make()
      await expect(record('ab', 'full', { nonce })).rejects.toThrow(place.full)
      expect(await certificateId()).toBeUndefined()
      expect(await record('cd', 'written', { nonce })).toBe('done')
      expect(await certificateId()).toBe('ccd')
      expect(await place.recorded()).toEqual(['cd'])
    })

    test('gives an order one of many certificates that are signed at once', async () => {
      await putOrder()
      const during = () => new Promise((resolve) => setTimeout(resolve, 5))
      const signing = ['ab', 'cd', 'ef'].map((one) => unitWith(one, 'written', during))
      const units = await Promise.all(signing)
      const outcomes = await Promise.all(units.map(async (unit) => unit?.commit(null) ?? 'late'))
      expect(outcomes.toSorted()).toEqual(['conflict', 'conflict', 'done'])
      const recorded = await place.recorded()
      expect(recorded).toHaveLength(1)
      expect(await certificateId()).toBe(`c${recorded.join('')}`)
      expect(await record('ab', 'written')).toBe('late')
    })

    test('claims validations that were asked for, once until the lease ends', async () => {
      await putOrder()
      const asked = { id: 'c', type: 'http-01', token: 't', requested: 1 } as const
      await put({}, (unit) => {
        unit.put('authorization', authorization('led', { challenges: [asked] }))
        unit.lease('led', 'c', 100)
      })
      await put({}, (unit) => {
        unit.put('authorization', authorization('asked', { challenges: [asked] }))
        const done = { ...asked, validated: 2 }
        unit.put('authorization', authorization('done', { challenges: [done] }))
      })
      const claim = async (now: number, until: number, limit = 10) => {
        const claims = await store.claimValidations(now, until, limit)
        return claims.map((one) => [one.authorization.id, one.challenge.id, one.account.id])
      }
      expect(await claim(10, 50)).toEqual([['asked', 'c', 'a']])
      expect(await claim(20, 60)).toEqual([])
      expect(await claim(50, 80)).toEqual([['asked', 'c', 'a']])
      expect((await claim(100, 200)).map(([id]) => id ?? '').toSorted()).toEqual(['asked', 'led'])
      await kill()
      expect(await claim(200, 300, 1)).toHaveLength(1)
      expect(await claim(200, 300)).toHaveLength(1)
      expect(await claim(200, 300)).toEqual([])
    })

    test('claims a validation whose lease was taken before the clock was set back', async () => {
      await putOrder()
      const [now, day] = [Date.now(), 86_400_000]
      const asked = { id: 'c', type: 'http-01', token: 't', requested: now } as const
      await put({}, (unit) => {
        unit.put('authorization', authorization('led', { challenges: [asked] }))
        unit.lease('led', 'c', now + 15_000)
      })
      const claim = (at: number) => store.claimValidations(at, at + 15_000, 10)
      expect(await claim(now - 1_000)).toEqual([])
      expect(await claim(now - day)).toHaveLength(1)
      expect(await claim(now - day)).toEqual([])
      expect(await claim(now - day + 15_000)).toHaveLength(1)
    })
  })
}
