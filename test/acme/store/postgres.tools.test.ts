import { expect, test } from 'vitest'
import type { Account, Order, StoredCertificate } from '../../../src/acme/resources.ts'
import { commitStep } from '../../../src/acme/store/contract.ts'
import { openPostgresStore } from '../../../src/acme/store/postgres.ts'
import { sealWith } from '../../../src/storage/postgres/seal.ts'
import { postgresStorage } from '../../../src/storage/postgres/storage.ts'
import { certificate } from '../../helpers/filled-record.ts'
import { usePostgres } from '../../helpers/postgres.ts'
import { describeStore } from './contract.ts'

const postgres = usePostgres()
const sealer = sealWith('correct horse')

describeStore('PostgreSQL', async () => {
  const url = await postgres.create()
  const storage = postgresStorage(postgres.open(url), sealer)
  return {
    open: () => openPostgresStore(postgres.open(url), sealer),
    async recorded() {
      const serials: string[] = []
      for await (const page of storage.certificates.all())
        for (const entry of page) serials.push(entry.certificate.serialNumber)
      return serials
    },
    async recording(serialNumber, fate) {
      const facts = certificate(1, { serialNumber, fingerprint: serialNumber })
      const unfit = { ...facts, notAfter: 'never' }
      return {
        certificate: fate === 'full' ? unfit : facts,
        scopesVersion: fate === 'changed' ? 'other' : await storage.scopes.version(),
        write: () => Promise.reject(new Error('it was called')),
      }
    },
    full: /timestamp/,
    callsWrite: false,
  }
})

test('a unit whose answer is lost happens once', async () => {
  const url = await postgres.create()
  const store = await openPostgresStore(postgres.open(url), sealer)
  const account = { id: 'a', thumbprint: 't' } as Account
  const unit = await store.open({ account: 'a' })
  unit.put('account', account)
  const nonce = store.nonces.make()
  // Ends every session of the store, before, while, or after the commit happens.
  const ending = (async () => {
    for (let i = 0; i < 20; i++)
      await postgres.server.psql(
        url,
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      )
  })()
  expect(await unit.commit(nonce)).toBe('done')
  await ending
  expect((await store.open({ account: 'a' })).get('account', 'a')).toEqual(account)
  expect(await (await store.open({})).commit(nonce)).toBe('replayed')
})

const identifier = { type: 'dns', value: 'a.localhost' } as const
const asked = { id: 'c', type: 'http-01', token: 't', requested: 1 } as const

test('a dump of the database has no key for external account binding', async () => {
  const url = await postgres.create()
  const store = await openPostgresStore(postgres.open(url), sealer)
  const key = { id: 'k', key: 'SECRETHMAC', createdAt: 7 }
  await commitStep(store, {}, (unit) => unit.put('eabKey', key))
  expect(await postgres.server.psql(url, 'select * from rootling.acme')).not.toContain('SECRETHMAC')
  expect((await store.open({ eabKey: 'k' })).get('eabKey', 'k')).toEqual(key)
})

test('what cannot be validated any more starves no claim', async () => {
  const store = await openPostgresStore(postgres.open(await postgres.create()), sealer)
  const base = { accountId: 'a', identifier, wildcard: false, challenges: [asked] }
  await commitStep(store, {}, (unit) => {
    unit.put('account', { id: 'a', thumbprint: 't' } as Account)
    for (let i = 0; i < 20; i++) {
      const dead =
        i % 2 === 0 ? { deactivated: true, expires: 1_000 } : { deactivated: false, expires: 5 }
      unit.put('authorization', { ...base, ...dead, id: `a${i}` })
    }
    unit.put('authorization', { ...base, id: 'z', deactivated: false, expires: 1_000 })
  })
  const claims = await store.claimValidations(10, 50, 2)
  expect(claims.map(({ authorization }) => authorization.id)).toEqual(['z'])
})

test('used nonces of refused days, and orders that ended a month ago, are forgotten', async () => {
  const url = await postgres.create()
  const store = await openPostgresStore(postgres.open(url), sealer)
  const day = 86_400_000
  const now = Date.now()
  const order = (id: string, more: Partial<Order>): Order => ({
    id,
    accountId: 'a',
    identifiers: [identifier],
    authorizationIds: [`z${id}`],
    createdAt: now - 100 * day,
    expires: now - 93 * day,
    profile: 'default',
    ...more,
  })
  await commitStep(store, {}, (unit) => {
    for (const id of ['ended', 'lasting', 'new']) {
      unit.put('authorization', {
        ...{ id: `z${id}`, accountId: 'a', identifier, wildcard: false, challenges: [] },
        ...{ deactivated: false, expires: now - 93 * day },
      })
      if (id === 'new') unit.put('order', order(id, { createdAt: now, expires: now + day }))
      else unit.put('order', order(id, { certificateId: `c${id}` }))
    }
    for (const [id, notAfter] of [
      ['cended', now - 40 * day],
      ['clasting', now - 20 * day],
    ] as const)
      unit.put('certificate', { id, serialNumber: id, notAfter } as StoredCertificate)
  })
  await postgres.server.psql(url, "insert into rootling.nonce values (7, 'a', 'b')")
  await store.claimValidations(now, now + 1_000, 1)
  const left = await postgres.server.psql(url, 'select id from rootling.acme order by id')
  expect(left.trim().split('\n')).toEqual(['clasting', 'lasting', 'new', 'zlasting', 'znew'])
  expect(await postgres.server.psql(url, 'select count(*) from rootling.nonce where day = 7')).toBe(
    '0\n',
  )
})

test('a process knows the few orders without a certificate that it read, and reads many anew', async () => {
  const url = await postgres.create()
  const own = await openPostgresStore(postgres.open(url), sealer)
  const other = await openPostgresStore(postgres.open(url), sealer)
  const need = { account: 'a', unfinishedOf: 'a' }
  const order = (i: number, more: Partial<Order> = {}): Order => ({
    ...{ id: `o${i}`, accountId: 'a', identifiers: [identifier], authorizationIds: [] },
    ...{ createdAt: i, expires: i + 1, profile: 'default', ...more },
  })
  const recent = () => own.openRecent?.(need)?.unfinished.ordersOf('a')
  await commitStep(own, {}, (unit) => {
    unit.put('account', { id: 'a', thumbprint: 't', status: 'valid' } as Account)
    unit.put('order', order(0))
  })
  expect(recent()).toBeUndefined()
  expect((await own.open(need)).unfinished.ordersOf('a')).toEqual(['o0'])
  for (let i = 1; i < 3; i++)
    await commitStep(own, { account: 'a' }, (unit) => unit.put('order', order(i)))
  await commitStep(own, { order: 'o1' }, (unit) =>
    unit.put('order', order(1, { certificateId: 'c' })),
  )
  expect(recent()).toEqual(['o0', 'o2'])
  await commitStep(other, {}, (unit) => {
    for (let i = 3; i < 18; i++) unit.put('order', order(i))
  })
  expect(recent()).toEqual(['o0', 'o2'])
  await commitStep(own, {}, (unit) => {
    for (let i = 18; i < 37; i++) unit.put('order', order(i))
  })
  expect(recent()).toBeUndefined()
  expect((await own.open(need)).unfinished.namesOf('a')).toBe(36)
  expect(recent()).toBeUndefined()
})
