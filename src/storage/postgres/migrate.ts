import { RootlingError } from '../../errors.ts'
import { toUpdate } from '../../files/update.ts'
import { digestOf } from '../scopes.ts'
import type { Database } from './database.ts'
import { migrations, type Migration } from './schema.ts'

/**
 * Brings the schema of a database to this version. Processes that do so at the same time wait for each
 * other, and each step is taken once; a step is whole or not at all. Throws `newer-state` for a schema
 * of a newer Rootling, `corrupt-state` for one that was changed by hand, `usage` where there is
 * something to do and the role may not, and `database-away`.
 */
export async function migrate(
  database: Database,
  steps: readonly Migration[] = migrations,
): Promise<void> {
  try {
    if ((await lastStep(database, steps)) < steps.length) await takeSteps(database, steps)
  } catch (error) {
    if ((error as { code?: unknown }).code !== insufficientPrivilege) throw error
    throw new RootlingError(
      'usage',
      `The schema of ${database.place} is not up to date for this role, which may not change it.`,
      {
        hint: 'rootling server migrate --database URL-OF-THE-OWNER --grant ROLE',
        cause: error,
      },
    )
  }
}

/** An SQLSTATE. */
const insufficientPrivilege = '42501'

async function takeSteps(database: Database, steps: readonly Migration[]): Promise<void> {
  await database.transaction(
    async () => {
      await database.query('SELECT pg_advisory_xact_lock(7274646, 2)')
      await database.query('CREATE SCHEMA IF NOT EXISTS rootling')
      await database.query(
        `CREATE TABLE IF NOT EXISTS rootling.migration (
        number int PRIMARY KEY, digest text NOT NULL, at timestamptz NOT NULL DEFAULT now()
      )`,
      )
      const last = await lastStep(database, steps)
      for (const { number, sql } of steps.slice(last)) {
        await database.query(sql)
        await database.query('INSERT INTO rootling.migration VALUES ($1, $2)', [
          number,
          digestOf(sql),
        ])
      }
    },
    { isMarked: false },
  )
}

/** Returns how many steps were taken; it throws as `migrate` does. */
async function lastStep(database: Database, steps: readonly Migration[]): Promise<number> {
  const [{ there } = { there: null }] = await database.query(
    // Also for a role that may not look into the schema.
    `SELECT count(*) > 0 AS there FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
     WHERE s.nspname = 'rootling' AND c.relname = 'migration'`,
  )
  if (there !== true) return 0
  const taken = await database.query(
    'SELECT number, digest FROM rootling.migration ORDER BY number',
  )
  if (taken.length > steps.length)
    throw new RootlingError(
      'newer-state',
      `The database ${database.place} has the schema ${taken.length} of a newer Rootling; this one knows ${steps.length}.`,
      { hint: `Update Rootling: ${toUpdate()}` },
    )
  const changed = taken.find(({ digest }, i) => digest !== digestOf(steps[i]?.sql ?? ''))
  if (changed !== undefined)
    throw new RootlingError(
      'corrupt-state',
      `Step ${String(changed['number'])} of the schema in ${database.place} is not the one of this Rootling.`,
      { hint: 'Restore the database from a backup' },
    )
  return taken.length
}
