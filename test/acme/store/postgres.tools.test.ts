import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { Account } from '../../../src/acme/resources.ts'
import { openPostgresStore } from '../../../src/acme/store/postgres.ts'
import { openDatabase } from '../../../src/storage/postgres/database.ts'
import { migrate } from '../../../src/storage/postgres/migrate.ts'
import { sealWith } from '../../../src/storage/postgres/seal.ts'
import { postgresStorage } from '../../../src/storage/postgres/storage.ts'
import { certificate } from '../../helpers/filled-record.ts'
import { openPostgresServer, type PostgresServer } from '../../helpers/postgres.ts'
import { describeStore } from './contract.ts'

let server: PostgresServer
let template: string
const sealer = sealWith('correct horse')

beforeAll(async () => {
  server = await openPostgresServer()
  template = await server.createDatabase()
  const database = openDatabase({ url: template })
  await migrate(database)
  await database.close()
})
afterAll(() => server.close())

/** It is waited for longer than by default, since this machine may be busy. */
const open = (url: string) => {
  const database = openDatabase({ url, patience: 300_000 })
  onTestFinished(() => database.close())
  return database
}

describeStore('PostgreSQL', async () => {
  const url = await server.createDatabase(template)
  const storage = postgresStorage(open(url), sealer)
  return {
    open: () => openPostgresStore(open(url), sealer),
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
  const url = await server.createDatabase(template)
  const store = await openPostgresStore(open(url), sealer)
  const account = { id: 'a', thumbprint: 't' } as Account
  const unit = await store.open({ account: 'a' })
  unit.put('account', account)
  const nonce = store.nonces.make()
  // Ends every session of the store, before, while, or after the commit happens.
  const ending = (async () => {
    for (let i = 0; i < 20; i++)
      await server.psql(
        url,
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      )
  })()
  expect(await unit.commit(nonce)).toBe('done')
  await ending
  expect((await store.open({ account: 'a' })).get('account', 'a')).toEqual(account)
  expect(await (await store.open({})).commit(nonce)).toBe('replayed')
})
