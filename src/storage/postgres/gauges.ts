import type { Database } from './database.ts'

/** The most certificates that `countDue` looks at, so that a question costs little at any number. */
const mostDue = 10_000

/**
 * Counts the certificates in the last third of their lifetime that are not revoked, and that no later
 * certificate for the same names, or in the same file, has replaced. Of more than 10,000, those that
 * were due first are looked at. Throws `database-away`.
 */
export async function countDue(database: Database, now: Date): Promise<number> {
  await noteNewest(database)
  const [row] = await database.query(
    // Subqueries, which PostgreSQL answers by an index however many revocations there are.
    `SELECT count(*) FROM (
       SELECT serial FROM rootling.newest WHERE due <= $1 AND not_after >= $1
       ORDER BY due LIMIT ${mostDue}
     ) w
     WHERE (SELECT r.serial FROM rootling.revocation r WHERE r.serial = w.serial) IS NULL
       AND (SELECT f.serial FROM rootling.forgotten f WHERE f.serial = w.serial) IS NULL`,
    [now.toISOString()],
  )
  return Number(row?.['count'])
}

/** The most statements by which certificates are noted at once. */
const mostNotes = 20

/**
 * Notes the latest certificates in the table that `countDue` reads, at most 100,000: the next call notes
 * more. Throws `database-away`.
 */
export async function noteNewest(database: Database): Promise<void> {
  for (let i = 0; i < mostNotes; i++) {
    const [row] = await database.query('SELECT rootling.note_newest() AS more')
    if (row?.['more'] !== true) return
  }
}

/** Drops expired certificates from what `countDue` reads. Throws `database-away`. */
export async function forgetExpired(database: Database, now: Date): Promise<void> {
  await database.query('DELETE FROM rootling.newest WHERE due < $1 AND not_after < $1', [
    now.toISOString(),
  ])
}

/**
 * Returns the age in seconds of the newest CRL of each scope, by the scope's name, whichever process
 * made it. A scope of which no CRL was made is left out: one is made when somebody asks for it. Throws
 * `database-away`.
 */
export async function crlAges(database: Database, now: Date): Promise<ReadonlyMap<string, number>> {
  const rows = await database.query('SELECT scope, made FROM rootling.crl_number')
  return new Map(
    rows.map(({ scope, made }) => [
      String(scope),
      Math.max(0, (now.getTime() - (made as Date).getTime()) / 1000),
    ]),
  )
}
