import { createAcmeAuthority } from '../../src/acme/acme-authority.ts'
import { makeScope } from '../../src/authority/ceremony.ts'
import { scopesIn } from '../../src/authority/scope.ts'
import { createRevocationSource } from '../../src/sites/revocation/source.ts'
import { openDatabase, type Database } from '../../src/storage/postgres/database.ts'
import { migrate } from '../../src/storage/postgres/migrate.ts'
import { sealWith } from '../../src/storage/postgres/seal.ts'
import { postgresStorage } from '../../src/storage/postgres/storage.ts'
import { certificate, serialOf } from '../../test/helpers/filled-record.ts'
import { openPostgresServer, type PostgresServer } from '../../test/helpers/postgres-server.ts'
import { median, type Benchmark, type Row } from './benchmark.ts'
import { ocspRequestFor } from './ocsp-request.ts'

const few = 1_000
/** How many of the certificates are revoked, whatever their number. */
const revoked = 1_000

/**
 * Measures how long a replica's answers take with many certificates in the database, each right after an
 * issuance by another process, and the CRL right after a revocation.
 */
export const teamScale: Benchmark = {
  name: 'team scale',
  async run({ quick }) {
    const many = quick ? 20_000 : 1_000_000
    const postgres = await openPostgresServer()
    try {
      const rounds = quick ? 20 : 100
      const [before, after] = [
        await answersOf(postgres, few, rounds),
        await answersOf(postgres, many, rounds),
      ]
      return (['ARI', 'OCSP', 'CRL', 'CRL after a revocation'] as const).map((name): Row => ({
        name: `${name}, ${many.toLocaleString('en')} certificates in PostgreSQL`,
        unit: 'ms',
        ours: after[name],
        peer: { name: few.toLocaleString('en'), value: before[name] },
        bar: { at: 'most', value: 1.5 },
      }))
    } finally {
      await postgres.close()
    }
  },
}

const now = () => new Date()
const plan = { name: 'team', permitted: ['team.internal'], constraints: null }

/** Returns medians of wall times, in milliseconds. */
async function answersOf(postgres: PostgresServer, count: number, rounds: number) {
  const url = await postgres.createDatabase()
  const [database, elsewhere] = [openDatabase({ url }), openDatabase({ url, replica: 'other' })]
  try {
    await migrate(database)
    const sealer = sealWith('correct horse battery')
    const [storage, other] = [database, elsewhere].map((one) => postgresStorage(one, sealer))
    if (storage === undefined || other === undefined) throw new RangeError('no storage')
    const { intermediateKey, ...scope } = await makeScope(plan, now())
    await other.change((change) => change.createScope(scope, intermediateKey))
    await fill(elsewhere, count)
    const authority = createAcmeAuthority({ storage, now })
    const source = createRevocationSource(storage, now)
    const [made] = await scopesIn(storage)
    if (made === undefined) throw new RangeError('no scope')
    const request = ocspRequestFor(made, serialOf(count))
    const issue = (i: number) =>
      other.change((change) => change.issued([certificate(i, { scope: 'team', certPath: null })]))
    const questions = {
      ARI: () => authority.find(serialOf(count)),
      OCSP: () => source.answer(request),
      CRL: () => source.crl('team'),
      'CRL after a revocation': () => source.crl('team'),
    }
    const names = Object.keys(questions) as (keyof typeof questions)[]
    const times = Object.fromEntries(names.map((name) => [name, [] as number[]]))
    for (let i = 0; i <= rounds; i++)
      for (const [at, name] of names.entries()) {
        await issue(count + 1 + i * names.length + at)
        if (name === 'CRL after a revocation')
          await other.change((change) =>
            change.revoked({
              serialNumber: serialOf(count - i),
              reason: 'superseded',
              revokedAt: now().toISOString(),
            }),
          )
        const begun = performance.now()
        await questions[name]()
        // The first round reads the authority, and makes the first CRL.
        if (i > 0) times[name]?.push(performance.now() - begun)
      }
    return Object.fromEntries(names.map((name) => [name, median(times[name] ?? [])])) as Record<
      keyof typeof questions,
      number
    >
  } finally {
    await database.close()
    await elsewhere.close()
  }
}

/** Puts certificates into the record, the first of which are revoked. */
async function fill(database: Database, count: number): Promise<void> {
  const facts = certificate(0, { scope: 'team', certPath: null })
  await database.query(
    `INSERT INTO rootling.certificate (serial, fingerprint, scope, not_after, facts)
     SELECT serial, lpad(to_hex(i), 64, '0'), 'team', now() + interval '200 days',
       $1::jsonb || jsonb_build_object('serialNumber', serial, 'fingerprint', lpad(to_hex(i), 64, '0'),
         'notAfter', to_char(now() + interval '200 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
     FROM (SELECT i, '40' || lpad(to_hex(i), 30, '0') AS serial FROM generate_series(1, $2::int) i) s`,
    [JSON.stringify(facts), count],
  )
  await database.query(
    `INSERT INTO rootling.revocation
     SELECT serial, jsonb_build_object('serialNumber', serial, 'reason', 'superseded',
       'revokedAt', '2026-02-01T00:00:00Z')
     FROM rootling.certificate ORDER BY n LIMIT $1`,
    [Math.min(revoked, count / 2)],
  )
  await database.query('ANALYZE')
}
