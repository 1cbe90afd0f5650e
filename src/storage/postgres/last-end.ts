import type { Database } from './database.ts'

/**
 * Returns when the last certificate on record of a scope ends; `null`: it has none. It reads the whole
 * record, so no request asks for it.
 */
export async function lastEnd(database: Database, scope: string): Promise<Date | null> {
  const [row] = await database.query(
    'SELECT max(not_after) AS last FROM rootling.certificate WHERE scope = $1',
    [scope],
  )
  return (row?.['last'] as Date | null | undefined) ?? null
}
