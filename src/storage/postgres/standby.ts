import type { Database } from './database.ts'

/**
 * Returns a sentence where the database has standbys and none of them is synchronous; `null` otherwise.
 * A role sees the standbys after `GRANT pg_monitor TO ROLE`; without it, the answer is `null`.
 */
export async function standbyWarning(database: Database): Promise<string | null> {
  const [row] = await database.query(
    `SELECT count(*) > 0 AND NOT bool_or(sync_state IN ('sync', 'quorum')) AS alone
     FROM pg_stat_replication WHERE state IN ('streaming', 'catchup')`,
  )
  return row?.['alone'] === true
    ? `No standby of ${database.place} is synchronous, so that a failover can lose the last certificates and revocations that clients were told of; set synchronous_standby_names = 'ANY 1 (*)' there.`
    : null
}
