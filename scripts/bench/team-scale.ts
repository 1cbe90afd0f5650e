import { createHash } from 'node:crypto'
import { createAcmeAuthority } from '../../src/acme/acme-authority.ts'
import { makeScope } from '../../src/authority/ceremony.ts'
import { scopesIn } from '../../src/authority/scope.ts'
import { createRevocationSource } from '../../src/sites/revocation/source.ts'
import { openDatabase } from '../../src/storage/postgres/database.ts'
import { migrate } from '../../src/storage/postgres/migrate.ts'
import { sealWith } from '../../src/storage/postgres/seal.ts'
import { postgresStorage } from '../../src/storage/postgres/storage.ts'
import { certificate } from '../../test/helpers/filled-record.ts'
import { openPostgresServer, type PostgresServer } from '../../test/helpers/postgres-server.ts'
import { median, type Benchmark, type Row } from './benchmark.ts'
import { ocspRequestFor } from './ocsp-request.ts'

const few = 1_000
/** How many of the certificates are revoked, whatever their number. */
const revoked = 500

const questions = ['ARI', 'OCSP', 'CRL', 'CRL after a revocation'] as const
type Question = (typeof questions)[number]

/**
 * Measures how long a replica's answers take with many certificates in the database, each right after an
 * issuance by another process, and the CRL right after a revocation.
 */
export const teamScale: Benchmark = {
  name: 'team scale',
  async run({ quick }) {
    const many = quick ? 20_000 : 1_000_000
    const rounds = quick ? 20 : 100
    const postgres = await openPostgresServer()
    const places: Place[] = []
    try {
      for (const count of [few, many]) places.push(await openPlace(postgres, count))
      const times = questions.map(() => places.map((): number[] => []))
      // In turn, so that both have the same share of what else this machine does.
      for (let round = 0; round <= rounds; round++)
        for (const [i, question] of questions.entries())
          for (const [j, place] of places.entries()) {
            const took = await place.measure(question)
            // The first round reads the authority, and makes the first CRL.
            if (round > 0) times[i]?.[j]?.push(took)
          }
      return questions.map((name, i): Row => {
        const [before = NaN, after = NaN] = times[i]?.map(median) ?? []
        return {
          name: `${name}, ${many.toLocaleString('en')} certificates in PostgreSQL`,
          unit: 'ms',
          ours: after,
          peer: { name: few.toLocaleString('en'), value: before },
          bar: { at: 'most', value: 1.5 },
        }
      })
    } finally {
      for (const place of places) await place.close()
      await postgres.close()
    }
  },
}

interface Place {
  /** Issues, or revokes, by another process; then asks, and returns for how many milliseconds. */
  measure(question: Question): Promise<number>
  close(): Promise<void>
}

const now = () => new Date()
const plan = { name: 'team', permitted: ['team.internal'], constraints: null }

async function openPlace(postgres: PostgresServer, count: number): Promise<Place> {
  const url = await postgres.createDatabase()
  const [database, elsewhere] = [openDatabase({ url }), openDatabase({ url, replica: 'other' })]
  await migrate(database)
  const sealer = sealWith('correct horse battery')
  const storage = postgresStorage(database, sealer)
  const other = postgresStorage(elsewhere, sealer)
  const { intermediateKey, ...scope } = await makeScope(plan, now())
  await other.change((change) => change.createScope(scope, intermediateKey))
  await fill(postgres, url, count)
  const authority = createAcmeAuthority({ storage, now })
  const source = createRevocationSource(storage, now)
  const [made] = await scopesIn(storage)
  if (made === undefined) throw new RangeError('no scope')
  const request = ocspRequestFor(made, serialOf(count))
  const ask: Record<Question, () => Promise<unknown>> = {
    ARI: () => authority.find(serialOf(count)),
    OCSP: () => source.answer(request),
    CRL: () => source.crl('team'),
    'CRL after a revocation': () => source.crl('team'),
  }
  let next = count + 1
  let toRevoke = count
  return {
    async measure(question) {
      const issued = certificate(next, {
        serialNumber: serialOf(next++),
        scope: 'team',
        certPath: null,
      })
      await other.change((change) => change.issued([issued]))
      if (question === 'CRL after a revocation') {
        const [serialNumber, revokedAt] = [serialOf(toRevoke--), now().toISOString()]
        await other.change((change) =>
          change.revoked({ serialNumber, reason: 'superseded', revokedAt }),
        )
      }
      const begun = performance.now()
      await ask[question]()
      return performance.now() - begun
    },
    async close() {
      await database.close()
      await elsewhere.close()
    },
  }
}

/** Serial numbers are random, so that neighbours in the record are none in an index. */
const serialOf = (i: number): string =>
  `40${createHash('md5').update(String(i)).digest('hex').slice(0, 30)}`

/** Puts certificates into the record, the first of which are revoked. */
async function fill(postgres: PostgresServer, url: string, count: number): Promise<void> {
  const facts = JSON.stringify(certificate(0, { scope: 'team', certPath: null }))
  await postgres.psql(
    url,
    `INSERT INTO rootling.certificate (serial, fingerprint, scope, not_after, facts)
     SELECT serial, lpad(to_hex(i), 64, '0'), 'team', now() + interval '200 days',
       '${facts}'::jsonb || jsonb_build_object('serialNumber', serial,
         'fingerprint', lpad(to_hex(i), 64, '0'), 'identifiers', jsonb_build_array(
           jsonb_build_object('type', 'dns', 'value', 'host' || i || '.team.internal')),
         'notAfter', to_char(now() + interval '200 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
     FROM (SELECT i, '40' || left(md5(i::text), 30) AS serial
       FROM generate_series(1, ${count}) i) s`,
  )
  await postgres.psql(
    url,
    `INSERT INTO rootling.revocation
     SELECT serial, jsonb_build_object('serialNumber', serial, 'reason', 'superseded',
       'revokedAt', '2026-02-01T00:00:00Z')
     FROM rootling.certificate ORDER BY n LIMIT ${revoked}`,
  )
  // As a database is that has grown slowly.
  await postgres.psql(url, 'VACUUM ANALYZE')
  await postgres.psql(url, 'CHECKPOINT')
}
