import type { Database } from './database.ts'

/** What a wrapped passphrase is called among the secrets. It alone is not sealed. */
export const wrappedName = 'wrapped passphrase'

/**
 * Returns the passphrase of an authority as the key of a PKCS #11 module wrapped it; `null`: the
 * authority has none, since its passphrase is kept elsewhere.
 */
export async function readWrapped(database: Database): Promise<Buffer | null> {
  const [row] = await database.query('SELECT value FROM rootling.secret WHERE name = $1', [
    wrappedName,
  ])
  return (row?.['value'] as Buffer | undefined) ?? null
}

/**
 * Keeps a wrapped passphrase for the authority that is about to be made, and returns the one that is
 * kept, which another process may have chosen first; `null`: there is an authority already, without one.
 */
export function keepWrapped(database: Database, wrapped: Buffer): Promise<Buffer | null> {
  return database.transaction(async () => {
    await database.query('SELECT pg_advisory_xact_lock(7274646, 1)')
    await database.query(
      `INSERT INTO rootling.secret SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM rootling.scope)
       ON CONFLICT DO NOTHING`,
      [wrappedName, wrapped],
    )
    return readWrapped(database)
  })
}
