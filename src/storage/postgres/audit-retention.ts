import { RootlingError } from '../../errors.ts'
import type { Database } from './database.ts'

export interface DroppedAudit {
  /** The months that were dropped, such as `2025-11`, oldest first. The first has all before it, too. */
  readonly months: readonly string[]
  /** How many rows were dropped. */
  readonly rows: number
}

/**
 * Drops the months of the audit before another one, such as `2026-01` (UTC), whole. Where the chain of
 * each replica now begins is noted, for `verifyAudit`, and is a row of its audit. Only the owner of the
 * schema may do so. Throws `usage` for the month and for another role, `locked` where something reads
 * the audit for long, `corrupt-state` where a month that is kept has older rows of a replica than one
 * that is dropped, and `database-away`.
 */
export async function dropAudit(database: Database, before: string): Promise<DroppedAudit> {
  if (!/^\d{4}-(?:0[1-9]|1[0-2])$/.test(before))
    throw new RootlingError('usage', `--before ${before} is not a month.`, {
      hint: 'Write it as in --before 2026-01',
    })
  try {
    return await database.transaction(() => drop(database, before))
  } catch (error) {
    throw asRefusal(database, error)
  }
}

async function drop(database: Database, before: string): Promise<DroppedAudit> {
  const bound = `${before}-01T00:00:00Z`
  const [prepared] = await database.query(
    `SELECT set_config('lock_timeout', '10s', true), $1::timestamptz > now() AS is_later,
       rootling.prepare_audit() AS done,
       (SELECT pg_has_role(relowner, 'MEMBER') FROM pg_class
        WHERE oid = 'rootling.audit'::regclass) AS is_owner`,
    [bound],
  )
  if (prepared?.['is_later'] === true)
    throw new RootlingError('usage', `The month ${before} has not begun.`, {
      hint: 'Name a month up to this one: the months before it are dropped',
    })
  if (prepared?.['done'] !== true) throw busy(database)
  // Also where there is nothing to drop yet, so that a job with another role does not look well till then.
  if (prepared['is_owner'] !== true) throw notOwner(database)
  const partitions = await database.query(
    `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'rootling.audit'::regclass
       AND c.relname ~ '^audit_[0-9]{4}_[0-9]{2}$' AND c.relname < $1
     ORDER BY 1`,
    [`audit_${before.replace('-', '_')}`],
  )
  const ends = await database.query(
    `SELECT replica, max(n)::text AS n, count(*)::text AS rows FROM rootling.audit
     WHERE at < $1 GROUP BY replica ORDER BY replica`,
    [bound],
  )
  for (const { replica, n } of ends) await noteStart(database, String(replica), String(n), before)
  for (const { name } of partitions) await database.query(`DROP TABLE rootling.${String(name)}`)
  return {
    months: partitions.map(({ name }) => String(name).slice('audit_'.length).replace('_', '-')),
    rows: ends.reduce((sum, { rows }) => sum + Number(rows), 0),
  }
}

/** Notes where the chain of a replica begins, and leaves a row to go on from in what is kept. */
async function noteStart(
  database: Database,
  replica: string,
  n: string,
  before: string,
): Promise<void> {
  // First: it waits for what the replica is writing, which would else wait for the tables, and this
  // for it.
  await database.query(
    `SELECT rootling.audit($1, 'owner', 'auditDropped', jsonb_build_object(
       'before', $3::text, 'n', a.n, 'hash', encode(a.hash, 'hex')))
     FROM rootling.audit a WHERE a.replica = $1 AND a.n = $2`,
    [replica, n, before],
  )
  const [later] = await database.query(
    'SELECT FROM rootling.audit WHERE replica = $1 AND n < $2 AND at >= $3 LIMIT 1',
    [replica, n, `${before}-01T00:00:00Z`],
  )
  if (later !== undefined)
    throw new RootlingError(
      'corrupt-state',
      `The clock was set back when ${replica} wrote the audit: older rows of it would be kept than some that are dropped.`,
      { hint: 'Name a later month: rootling server audit drop --before MONTH' },
    )
  await database.query(
    `INSERT INTO rootling.audit_start SELECT replica, n, hash FROM rootling.audit
     WHERE replica = $1 AND n = $2
     ON CONFLICT (replica) DO UPDATE SET n = excluded.n, hash = excluded.hash`,
    [replica, n],
  )
}

const busy = ({ place }: Database, cause?: unknown): RootlingError =>
  new RootlingError('locked', `Something else reads the audit of ${place}, such as a backup.`, {
    hint: 'Try again when it has ended',
    cause,
  })

function asRefusal(database: Database, error: unknown): unknown {
  const codeOf = (one: unknown) => (one as { code?: unknown } | undefined)?.code
  // A lock that is not free in time; as `database-away`, where the transaction ended by it.
  if ([codeOf(error), codeOf((error as Error).cause)].includes('55P03'))
    return busy(database, error)
  if (codeOf(error) !== '42501') return error
  return notOwner(database, error)
}

const notOwner = ({ place }: Database, cause?: unknown): RootlingError =>
  new RootlingError('usage', `This role may not drop the audit of ${place}.`, {
    hint: 'rootling server audit drop --before MONTH --database URL-OF-THE-OWNER',
    cause,
  })
