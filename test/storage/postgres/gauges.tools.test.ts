import { expect, test } from 'vitest'
import type { Database } from '../../../src/storage/postgres/database.ts'
import { migrate } from '../../../src/storage/postgres/migrate.ts'
import { countDue, crlAges, forgetExpired } from '../../../src/storage/postgres/gauges.ts'
import { migrations } from '../../../src/storage/postgres/schema.ts'
import { sealWith } from '../../../src/storage/postgres/seal.ts'
import { postgresStorage } from '../../../src/storage/postgres/storage.ts'
import type { CertificateRecord } from '../../../src/storage/records.ts'
import { certificate, serialOf } from '../../helpers/filled-record.ts'
import { usePostgres } from '../../helpers/postgres.ts'

const postgres = usePostgres()
const sealer = sealWith('correct horse')
const day = 86_400_000
const begin = Date.parse('2026-01-01T00:00:00Z')
const after = (days: number): Date => new Date(begin + days * day)

/** A certificate of 90 days, as the ACME server records it, that began some days after the others. */
const printed = (i: number, days = 0, more: Partial<CertificateRecord> = {}): CertificateRecord =>
  certificate(i, {
    certPath: null,
    notBefore: after(days).toISOString(),
    notAfter: after(days + 90).toISOString(),
    ...more,
  })

const named = (...names: readonly string[]): Partial<CertificateRecord> => ({
  identifiers: names.map((value) => ({ type: 'dns' as const, value })),
})

test('certificates are due in their last third, unless replaced, revoked or forgotten', async () => {
  const database = postgres.open(await postgres.create())
  const storage = postgresStorage(database, sealer)
  const revoked = { reason: 'superseded', revokedAt: after(1).toISOString() } as const
  await storage.change(async (change) => {
    await change.issued([
      printed(1),
      printed(2),
      printed(3),
      printed(4, 0, named('a.localhost', 'b.localhost')),
      printed(5, 5),
      // For other names, for another purpose, and in a file: they replace none of these.
      printed(6, 80, named('a.localhost')),
      printed(7, 80, { ...named('host1.localhost'), purpose: 'client' }),
      certificate(8, { notBefore: after(80).toISOString(), notAfter: after(800).toISOString() }),
    ])
    await change.revoked({ serialNumber: serialOf(2), ...revoked })
    await change.forgotten([serialOf(3)], after(1))
  })
  const due = async () =>
    Promise.all(
      [59.9, 60, 64.9, 65, 89.9, 90.1, 95.1].map((days) => countDue(database, after(days))),
    )
  // 1 and 4 from day 60 to day 90, 5 from day 65 to day 95.
  expect(await due()).toEqual([0, 2, 2, 3, 3, 1, 0])
  // The order of the names does not matter.
  await storage.change((change) =>
    change.issued([printed(9, 81, named('b.localhost', 'a.localhost'))]),
  )
  expect(await due()).toEqual([0, 1, 1, 2, 2, 1, 0])
  await storage.change((change) => change.released(serialOf(2), after(2)))
  expect(await due()).toEqual([0, 2, 2, 3, 3, 1, 0])
  await forgetExpired(database, after(91))
  expect(await due()).toEqual([0, 0, 0, 1, 1, 1, 0])
})

test('certificates of before the step are counted, and the newest in a file is the one that counts', async () => {
  const database = postgres.open(await postgres.server.createDatabase())
  await migrate(database, migrations.slice(0, 2))
  const lasting = new Date(Date.now() + 30 * day).toISOString()
  const old = { notBefore: new Date(Date.now() - 300 * day).toISOString(), notAfter: lasting }
  const records = [
    certificate(1, old),
    certificate(2, { ...old, certPath: '/files/host1.pem' }),
    certificate(3, old),
  ]
  for (const record of records)
    await database.query('SELECT rootling.record($1)', [JSON.stringify(record)])
  await migrate(database)
  expect(await countDue(database, new Date())).toBe(2)
})

test('a certificate of a transaction that ends after later ones is counted', async () => {
  const url = await postgres.create()
  const [late, other] = [postgres.open(url), postgres.open(url)]
  const record = (database: Database, i: number) =>
    database.query('SELECT rootling.record($1)', [JSON.stringify(printed(i))])
  const due = () => countDue(other, after(70))
  await record(other, 1)
  const counts: number[] = []
  await late.transaction(async () => {
    await record(late, 2)
    await record(other, 3)
    for (let i = 0; i < 3; i++) counts.push(await due())
  })
  expect(counts).toEqual([2, 2, 2])
  expect([await due(), await due()]).toEqual([3, 3])
  await record(other, 4)
  expect(await due()).toBe(4)
})

test('the age of a CRL is that of the newest one of its scope, whoever made it', async () => {
  const url = await postgres.create()
  const [a, b] = [postgres.open(url), postgres.open(url)]
  expect(await crlAges(a, after(0))).toEqual(new Map())
  const made = (database: typeof a, days: number, scope: string) =>
    postgresStorage(database, sealer).change((change) => change.nextCrlNumber(scope, after(days)))
  await made(a, 0, 'team')
  await made(b, 1, 'team')
  await made(a, 0, 'other')
  expect(await crlAges(a, after(1.5))).toEqual(
    new Map([
      ['team', day / 2_000],
      ['other', (1.5 * day) / 1_000],
    ]),
  )
  // A clock that was set back.
  expect((await crlAges(a, after(0))).get('team')).toBe(0)
})

test('the question reads no table as a whole, however many certificates there are', async () => {
  const url = await postgres.create()
  const fill = `
    insert into rootling.newest select sha256(i::text::bytea), i, 's' || i,
      now() - '1 s'::interval + i * '10 s'::interval / 10, now() + i * '20 s'::interval
    from generate_series(1, 30000) i;
    insert into rootling.revocation select 's' || i, '{}' from generate_series(1, 30000, 7) i;
    analyze rootling.newest, rootling.revocation`
  await postgres.server.psql(url, fill)
  const plan = await postgres.server.psql(
    url,
    `explain select count(*) from (
       select serial from rootling.newest where due <= now() and not_after >= now()
       order by due limit 10000) w
     where (select r.serial from rootling.revocation r where r.serial = w.serial) is null`,
  )
  expect(plan).not.toContain('Seq Scan')
})
