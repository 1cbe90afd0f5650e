import { createHash } from 'node:crypto'
import { toJsonb, type Database, type Row } from './database.ts'

/** Something to be written into the audit. */
export interface AuditEvent {
  /** Who did it, such as `account ID` or the name of a person. */
  readonly actor: string
  /** Such as `eabKeyCreated`. */
  readonly event: string
  /** Everybody who may read the database reads this: no secrets. */
  readonly facts: object
}

/**
 * Writes an event into the audit. Certificates, revocations and changes of scopes are written where
 * they happen, in the same transaction; this is for all else. Throws `database-away`.
 */
export async function recordAudit(
  database: Database,
  { actor, event, facts }: AuditEvent,
): Promise<void> {
  // A transaction knows whether it happened, so that no event is written twice.
  await database.transaction(() =>
    database.query('SELECT rootling.audit($1, $2, $3, $4)', [
      database.replica,
      actor,
      event,
      toJsonb(facts),
    ]),
  )
}

/** The last row of a replica in the audit. */
export interface AuditHead {
  readonly replica: string
  readonly n: number
  /** In hex. */
  readonly hash: string
}

interface AuditFault {
  readonly replica: string
  readonly n: number
  /** `changed`: this row, or its place in the order; `missing`: it is not there. */
  readonly what: 'changed' | 'missing'
}

export interface AuditCheck {
  readonly rows: number
  /** For the operator to keep, apart from the database, and to give as `heads` later. */
  readonly replicas: readonly AuditHead[]
  /** The time of the oldest row that is kept, where older ones were dropped; `null`: none were. */
  readonly since: string | null
  /** At most 1,000 of them. */
  readonly faults: readonly AuditFault[]
}

const pageLength = 1_000
const mostFaults = 1_000

/**
 * Reads the whole audit and returns which rows were changed, reordered or taken out. Rows that were
 * deleted from the end of a replica's chain leave no trace in what remains, and neither does a chain
 * that was wholly written anew: both are found only by `heads`, the `replicas` of an earlier check that
 * were kept elsewhere. Rows that `dropAudit` has dropped are not missing; heads among them are passed
 * over. Throws `database-away`.
 */
export async function verifyAudit(
  database: Database,
  heads: readonly AuditHead[] = [],
): Promise<AuditCheck> {
  const starts = await readStarts(database)
  const check = await verifyFrom(database, starts, heads)
  // Months that are dropped while this reads would look like missing ones.
  return toText(await readStarts(database)) === toText(starts)
    ? check
    : verifyAudit(database, heads)
}

type Heads = ReadonlyMap<string, AuditHead>

const toText = (heads: Heads): string => JSON.stringify([...heads])

/** The last dropped row of each replica of which rows were dropped. */
async function readStarts(database: Database): Promise<Heads> {
  const rows = await database.query(
    `SELECT replica, n::text AS n, encode(hash, 'hex') AS hash FROM rootling.audit_start
     ORDER BY replica`,
  )
  return new Map(
    rows.map(({ replica, n, hash }) => [
      String(replica),
      { replica: String(replica), n: Number(n), hash: String(hash) },
    ]),
  )
}

async function verifyFrom(
  database: Database,
  starts: Heads,
  heads: readonly AuditHead[],
): Promise<AuditCheck> {
  const last = new Map<string, AuditHead>()
  const faults: AuditFault[] = []
  const kept = heads.filter(({ replica, n }) => n > (starts.get(replica)?.n ?? 0))
  const noted = new Map(kept.map((head) => [`${head.n} ${head.replica}`, head]))
  let oldest: string | null = null
  const fault = (one: AuditFault): void => {
    if (faults.length < mostFaults) faults.push(one)
  }
  let count = 0
  for (let rows: readonly Row[] | null = null; rows === null || rows.length === pageLength;) {
    const end = rows?.at(-1)
    rows = await database.query(
      `SELECT replica, n::text AS n, actor, event, facts::text AS facts, hash,
         to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at
       FROM rootling.audit a WHERE $1::text IS NULL OR (replica, n) > ($1, $2::bigint)
       ORDER BY a.replica, a.n LIMIT ${pageLength}`,
      [end?.['replica'] ?? null, end?.['n'] ?? null],
    )
    count += rows.length
    for (const row of rows) {
      const replica = String(row['replica'])
      const n = Number(row['n'])
      const before = last.get(replica) ?? starts.get(replica)
      const at = String(row['at'])
      if (oldest === null || at < oldest) oldest = at
      const hash = (row['hash'] as Buffer).toString('hex')
      const expected = (before?.n ?? 0) + 1
      if (n !== expected) fault({ replica, n: expected, what: 'missing' })
      // What follows a gap cannot be checked by the row before.
      else if (hashOf(row, before?.hash ?? '') !== hash) fault({ replica, n, what: 'changed' })
      const head = noted.get(`${n} ${replica}`)
      noted.delete(`${n} ${replica}`)
      if (head !== undefined && head.hash !== hash) fault({ replica, n, what: 'changed' })
      last.set(replica, { replica, n, hash })
    }
  }
  for (const { replica, n } of noted.values()) fault({ replica, n, what: 'missing' })
  for (const { replica, n } of starts.values())
    if (!last.has(replica)) fault({ replica, n: n + 1, what: 'missing' })
  const since = starts.size === 0 ? null : oldest
  return { rows: count, replicas: [...last.values()], since, faults }
}

/** Computes the hash of a row as `rootling.audit` in schema.ts does. */
function hashOf(row: Row, before: string): string {
  const fields = ['replica', 'n', 'at', 'actor', 'event', 'facts'].map((name) => String(row[name]))
  const text = fields.map((field) => `${Buffer.byteLength(field)}:${field}`).join('')
  return createHash('sha256').update(before, 'hex').update(text).digest('hex')
}
