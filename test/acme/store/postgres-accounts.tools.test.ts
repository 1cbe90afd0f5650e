import { expect, test } from 'vitest'
import type { Account, EabKey, Order } from '../../../src/acme/resources.ts'
import { commitStep } from '../../../src/acme/store/contract.ts'
import { openPostgresStore } from '../../../src/acme/store/postgres.ts'
import { sealWith } from '../../../src/storage/postgres/seal.ts'
import { usePostgres } from '../../helpers/postgres.ts'

const postgres = usePostgres()
const sealer = sealWith('correct horse')
const day = 86_400_000
const now = Date.parse('2028-06-01T00:00:00Z')
const old = now - 366 * day

const account = (id: string, more: Partial<Account> = {}): Account => ({
  id,
  status: 'valid',
  jwk: {},
  thumbprint: id,
  contact: [],
  termsOfServiceAgreed: true,
  createdAt: old,
  ...more,
})

const key = (id: string, more: Partial<EabKey> = {}): EabKey => ({
  id,
  key: 'secret',
  createdAt: old,
  ...more,
})

const order = (id: string, accountId: string): Order => ({
  id,
  accountId,
  identifiers: [],
  authorizationIds: [],
  createdAt: now - day,
  expires: now + day,
  profile: 'default',
})

test('accounts without orders are forgotten after a year, unless that shuts their clients out', async () => {
  const database = postgres.open(await postgres.create())
  const store = await openPostgresStore(database, sealer)
  const accounts = [
    account('unbound'),
    account('young', { createdAt: now - 364 * day }),
    account('ordering'),
    account('counted', { eabKeyId: 'counted' }),
    account('any', { eabKeyId: 'any' }),
    account('revoked', { eabKeyId: 'revoked' }),
    account('expired', { eabKeyId: 'expired' }),
    account('deactivated', { eabKeyId: 'counted', status: 'deactivated' }),
    account('deactivated-ordering', { status: 'deactivated' }),
  ]
  await commitStep(store, {}, (unit) => {
    for (const one of accounts) unit.put('account', one)
    unit.put('eabKey', key('counted', { uses: 0, expires: now + 1 }))
    unit.put('eabKey', key('any'))
    unit.put('eabKey', key('revoked', { uses: 0, revoked: old }))
    unit.put('eabKey', key('expired', { uses: 3, expires: now - 1 }))
    unit.put('order', order('1', 'ordering'))
    unit.put('order', order('2', 'deactivated-ordering'))
  })
  await store.claimValidations(now, now + 1, 1)
  const rows = await database.query(
    "SELECT id FROM rootling.acme WHERE kind = 'account' ORDER BY id",
  )
  expect(rows.map(({ id }) => id)).toEqual(['counted', 'deactivated-ordering', 'ordering', 'young'])
})

test('an account that makes an order while it would be forgotten stays', async () => {
  const url = await postgres.create()
  const database = postgres.open(url)
  const store = await openPostgresStore(database, sealer)
  const sweeper = await openPostgresStore(database, sealer)
  for (let i = 0; i < 20; i++) {
    // It sweeps once an hour.
    const at = now + i * 3_600_000
    const id = `account${i}`
    await commitStep(store, {}, (unit) => unit.put('account', account(id)))
    const unit = await store.open({ account: id })
    unit.get('account', id)
    unit.put('order', order(`order${i}`, id))
    const [outcome] = await Promise.all([
      unit.commit(null),
      sweeper.claimValidations(at, at + 1, 1),
    ])
    const left = await database.query(
      "SELECT id FROM rootling.acme WHERE kind = 'account' AND id = $1",
      [id],
    )
    expect([outcome, left.length]).toEqual(left.length === 1 ? ['done', 1] : ['conflict', 0])
  }
})
