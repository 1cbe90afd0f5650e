import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Recording } from '../../certificates/issuer.ts'
import { toJsonb, type Database, type Row } from '../../storage/postgres/database.ts'
import { forgetExpired, noteNewest } from '../../storage/postgres/gauges.ts'
import type { Sealer } from '../../storage/postgres/seal.ts'
import { readCertId } from '../cert-id.ts'
import {
  challengeStatus,
  type Account,
  type Authorization,
  type Challenge,
  type EabKey,
  type Order,
} from '../resources.ts'
import {
  longestLease,
  mostOrders,
  mostUnfinished,
  type AcmeStore,
  type Claim,
  type Need,
  type Outcome,
  type Unit,
} from './contract.ts'
import type { Put } from './journal-line.ts'
import { randomOctets } from '../random.ts'
import { createRecent, type Recent } from './recent.ts'
import { keyOf, unitOver, type Known, type Snapshot } from './snapshot.ts'
import type { Kind, Kinds } from './tables.ts'

/**
 * Opens the store in a database, which any number of processes share. `open` is one statement, and so is
 * `commit`, each a transaction of its own, so that PgBouncer may stand in between. Every function throws
 * `database-away`.
 */
export async function openPostgresStore(database: Database, sealer: Sealer): Promise<AcmeStore> {
  const nonces = createNonces(await nonceSecret(database, sealer))
  const place = { database, sealer, nonces, recent: createRecent() }
  let swept = -Infinity
  return {
    openRecent(need) {
      const snapshot = place.recent.snapshotFor(need)
      return snapshot === null ? null : openUnit(place, snapshot, { isRecent: true })
    },
    open: async (need) => openUnit(place, await read(place, need)),
    async read(need, nonce) {
      const snapshot = await readOnce(place, need, nonce)
      return snapshot === null ? null : openUnit(place, snapshot)
    },
    nonces,
    async claimValidations(now, until, limit) {
      if (now - swept >= hour) {
        swept = now
        await sweep(database, now)
      }
      return claim(database, { now, until, limit })
    },
    eabKeys: async () =>
      (
        await database.query(
          `SELECT ${columns} FROM rootling.acme a WHERE kind = 'eabKey' ORDER BY created, id`,
        )
      ).map((row) => knownOf(row, sealer).resource as EabKey),
    close: () => Promise.resolve(),
  }
}

/** What a unit needs. */
interface Place {
  readonly database: Database
  readonly sealer: Sealer
  readonly nonces: Nonces
  readonly recent: Recent
}

/**
 * Makes the next partitions of the audit; deletes the nonces of days whose nonces are refused, and orders that ended a month ago, as their
 * certificates did, with all that belongs to them. Processes may do so at the same time.
 */
async function sweep(database: Database, now: number): Promise<void> {
  await database.query('SELECT rootling.prepare_audit()')
  await database.query('DELETE FROM rootling.nonce WHERE day < $1', [
    Math.floor(now / day) - keptDays,
  ])
  await database.query('DELETE FROM rootling.lease WHERE until <= $1', [now])
  await noteNewest(database)
  await forgetExpired(database, new Date(now))
  await database.query(
    `WITH ended AS (
       DELETE FROM rootling.acme o WHERE kind = 'order' AND created < $1
         AND (facts->>'expires')::bigint < $1
         AND NOT EXISTS (
           SELECT FROM rootling.acme c WHERE c.kind = 'certificate'
             AND c.id = o.facts->>'certificateId' AND (c.facts->>'notAfter')::bigint >= $1
         )
       RETURNING facts
     )
     DELETE FROM rootling.acme a USING ended
     WHERE a.kind = 'certificate' AND a.id = ended.facts->>'certificateId'
       OR a.kind = 'authorization' AND ended.facts->'authorizationIds' ? a.id`,
    [now - 30 * day],
  )
  await forgetAccounts(database, now)
}

/** The most accounts that are forgotten at once, so that nobody waits for it. */
const mostForgotten = 1_000

/**
 * Deletes accounts that are older than a year and have no order any more, where that shuts nobody out: an
 * account that is deactivated, one whose key for external account binding has ended, and one whose client
 * can register again, without a key or with one that binds any number of accounts. Of the others there
 * are no more than the operator has allowed.
 */
async function forgetAccounts(database: Database, now: number): Promise<void> {
  const orders = "SELECT FROM rootling.acme o WHERE o.kind = 'order' AND o.account = a.id"
  await database.transaction(async () => {
    const unused = await database.query(
      `SELECT a.id FROM rootling.acme a
       WHERE a.kind = 'account' AND a.created < $1 AND NOT EXISTS (${orders})
         AND (a.facts->>'status' <> 'valid' OR NOT EXISTS (
           SELECT FROM rootling.acme k WHERE k.kind = 'eabKey' AND k.id = a.facts->>'eabKeyId'
             AND k.facts ? 'uses' AND NOT k.facts ? 'revoked'
             AND coalesce((k.facts->>'expires')::bigint > $2, true)
         ))
       ORDER BY a.created LIMIT ${mostForgotten} FOR UPDATE OF a SKIP LOCKED`,
      [now - 365 * day, now],
    )
    // Looks again, now that no unit can use the account: one may have made an order just before.
    await database.query(
      `DELETE FROM rootling.acme a
       WHERE a.kind = 'account' AND a.id = ANY($1) AND NOT EXISTS (${orders})`,
      [unused.map(({ id }) => String(id))],
    )
  })
}

/** Returns the secret that all processes make their nonces with. The first of them chooses it. */
async function nonceSecret(database: Database, sealer: Sealer): Promise<Buffer> {
  const name = 'nonces'
  const read = async () =>
    (await database.query('SELECT value FROM rootling.secret WHERE name = $1', [name]))[0]
  const existing = await read()
  if (existing === undefined)
    await database.query('INSERT INTO rootling.secret VALUES ($1, $2) ON CONFLICT DO NOTHING', [
      name,
      sealer.seal(randomBytes(32), name),
    ])
  return sealer.open((existing ?? (await read()))?.['value'] as Buffer, name)
}

const hour = 3_600_000
const day = 24 * hour

/** A nonce in the database, with the day on which it was made. */
interface UsedNonce {
  readonly day: number
  readonly nonce: Buffer
}

type Nonces = AcmeStore['nonces'] & { parse(nonce: string): UsedNonce | null }

/** Nonces of two octets of a day, ten random ones, and 16 of an HMAC-SHA-256 over both. */
function createNonces(secret: Buffer): Nonces {
  const macOf = (body: Buffer): Buffer =>
    createHmac('sha256', secret).update(body).digest().subarray(0, 16)
  // A request asks for the same nonce up to four times, and an HMAC costs more than all else here.
  let last: { readonly text: string; readonly nonce: UsedNonce | null } | null = null
  function parse(text: string): UsedNonce | null {
    if (last?.text !== text) last = { text, nonce: parseOnce(text) }
    return last.nonce
  }
  function parseOnce(text: string): UsedNonce | null {
    const octets = Buffer.from(text, 'base64url')
    if (octets.length !== 28) return null
    const body = octets.subarray(0, 12)
    if (!timingSafeEqual(macOf(body), octets.subarray(12))) return null
    const made = body.readUInt16BE(0)
    // Rows of older days may be gone, so that such a nonce could be used again.
    return Math.abs(Math.floor(Date.now() / day) - made) > keptDays
      ? null
      : { day: made, nonce: body.subarray(2) }
  }
  return {
    make() {
      const body = Buffer.concat([Buffer.alloc(2), randomOctets(10)])
      body.writeUInt16BE(Math.floor(Date.now() / day))
      return Buffer.concat([body, macOf(body)]).toString('base64url')
    },
    isOurs: (nonce) => parse(nonce) !== null,
    parse,
  }
}

/** How many days a nonce is good, and its row is kept. */
const keptDays = 2

const columns = 'a.kind, a.id, a.version, a.facts'

async function read(place: Place, need: Need): Promise<Snapshot> {
  if (isEmpty(need)) return { known: new Map<string, Known>(), ordersOf: [], unfinishedOf: [] }
  const rows = await place.database.queryOften('SELECT * FROM rootling.read_unit($1)', [
    limited(need),
  ])
  return snapshotOf(place, need, rows)
}

/** Reads, and uses up a nonce; `null`: it was used before. */
async function readOnce(place: Place, need: Need, nonce: string): Promise<Snapshot | null> {
  const used = place.nonces.parse(nonce)
  if (used === null) return null
  const rows = await place.database.queryOften('SELECT * FROM rootling.read_unit($1, $2, $3, $4)', [
    limited(need),
    used.day,
    used.nonce,
    randomOctets(12),
  ])
  return rows.length === 0 ? null : snapshotOf(place, need, rows)
}

/** Returns a need as `rootling.read_unit` takes it. */
const limited = (need: Need): string => toJsonb({ ...need, mostOrders, mostUnfinished })

const isEmpty = (need: Need): boolean => Object.values(need).every((value) => value === undefined)

/** Makes what a unit knows of the rows of `rootling.read_unit`. */
async function snapshotOf(
  { database, sealer, recent }: Place,
  need: Need,
  all: readonly Row[],
): Promise<Snapshot> {
  const rows = all.filter(({ why, version }) => {
    if (why === 'scopes') database.scopesVersion.seen(String(version))
    return why !== 'scopes'
  })
  const known = new Map<string, Known>()
  for (const row of rows) {
    const kind = row['kind'] as Kind
    const one = knownOf(row, sealer)
    known.set(keyOf(kind, String(row['id'])), one)
    recent.saw(kind, one)
  }
  const { replaces } = (known.get(keyOf('order', need.order ?? ''))?.resource ??
    {}) as Partial<Order>
  const replaced = replaces === undefined ? null : readCertId(replaces)
  if (replaced !== null)
    for (const row of await database.query(
      `SELECT ${columns} FROM rootling.acme a WHERE kind = 'certificate' AND key = $1`,
      [replaced.serialNumber],
    ))
      known.set(keyOf('certificate', String(row['id'])), knownOf(row, sealer))
  const listed = (why: string): Order[] =>
    rows
      .filter((row) => row['why'] === why)
      .map((row) => row['facts'] as Order)
      .toSorted((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))
  const ordersOf = listed('all').toReversed()
  const unfinishedOf = listed('unfinished')
  if (need.unfinishedOf !== undefined) recent.listed(need.unfinishedOf, unfinishedOf)
  return { known, ordersOf, unfinishedOf }
}

function knownOf({ kind, facts, version }: Row, sealer: Sealer): Known {
  const resource =
    kind === 'eabKey' ? openEabKey(facts as SealedEabKey, sealer) : (facts as Kinds[Kind])
  return { resource, version: Number(version) }
}

/** A key for external account binding as the database has it: a dump opens no accounts. */
interface SealedEabKey extends Omit<EabKey, 'key'> {
  /** base64url */
  readonly sealed: string
}

const sealEabKey = ({ key, ...rest }: EabKey, sealer: Sealer): SealedEabKey => ({
  ...rest,
  sealed: sealer.seal(Buffer.from(key), `the key ${rest.id}`).toString('base64url'),
})

const openEabKey = ({ sealed, ...rest }: SealedEabKey, sealer: Sealer): EabKey => ({
  ...rest,
  key: sealer.open(Buffer.from(sealed, 'base64url'), `the key ${rest.id}`).toString(),
})

function openUnit(
  { database, sealer, nonces, recent }: Place,
  snapshot: Snapshot,
  { isRecent = false } = {},
): Unit {
  const { unit, puts, looked, versionOf } = unitOver(snapshot)
  const leases: (readonly [string, string, number])[] = []
  let recording: Recording | null = null

  async function commit(nonce: string | null): Promise<Outcome> {
    const used = nonce === null ? ownNonce() : nonces.parse(nonce)
    if (used === null) return 'replayed'
    if (puts.size === 0 && leases.length === 0 && nonce === null) return 'done'
    // What a unit only reads may change at any time, once it was read.
    const isFresh = puts.size === 0 && !isRecent
    const checked = isFresh ? [] : [...looked].filter(([key]) => !puts.has(key))
    try {
      const [row] = await database.queryOften(
        'SELECT rootling.commit_unit($1, $2, $3, $4, $5, $6, $7, $8, $9) AS outcome',
        [
          used.day,
          used.nonce,
          randomOctets(12),
          toJsonb(checked.map(([key, one]) => [...one, versionOf(key)])),
          toJsonb([...puts].map(([key, put]) => rowOf(put, versionOf(key), sealer))),
          toJsonb(leases),
          recording === null ? null : toJsonb(recording),
          database.replica,
          actorOf([...puts]),
        ],
      )
      const outcome = row?.['outcome'] as Outcome
      if (outcome === 'done')
        for (const [key, [kind, resource]] of puts)
          recent.saw(kind, { resource, version: versionOf(key) + 1 })
      return outcome
    } catch (error) {
      for (const [kind, id] of [
        ...looked.values(),
        ...[...puts.values()].map(([kind, { id }]) => [kind, id] as const),
      ])
        recent.forget(kind, id)
      if (isConflict(error)) return 'conflict'
      throw error
    }
  }

  return {
    ...unit,
    lease: (...lease) => void leases.push(lease),
    record: (signed) => (recording = signed),
    commit,
  }
}

/** The account for which a unit records a certificate, as the audit names it. */
function actorOf(puts: readonly (readonly [string, Put])[]): string {
  const order = puts.map(([, put]) => put).find(([kind]) => kind === 'order')?.[1]
  const { accountId } = (order ?? {}) as Partial<Order>
  return accountId === undefined ? '' : `account ${accountId}`
}

/** Stands in the place of a nonce, so that a unit without one knows too whether it happened. */
const ownNonce = (): UsedNonce => ({ day: Math.floor(Date.now() / day), nonce: randomOctets(16) })

/** Another unit was first, or has taken the key or the serial number. */
function isConflict(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  return code === 'RL001' || code === '23505'
}

/** The row of a resource, with what it is found by. */
function rowOf([kind, resource]: Put, version: number, sealer: Sealer): object {
  const one = resource as Partial<Account & Order & Authorization & Kinds['certificate']>
  return {
    kind,
    id: resource.id,
    version,
    account: one.accountId ?? null,
    key: one.thumbprint ?? one.serialNumber ?? null,
    created: one.createdAt ?? null,
    open: kind === 'order' ? one.certificateId === undefined : isValidating(one),
    facts: kind === 'eabKey' ? sealEabKey(resource as EabKey, sealer) : resource,
  }
}

/** Whether a validation was asked for that can still decide about an authorization. */
const isValidating = ({ deactivated, challenges = [] }: Partial<Authorization>): boolean => {
  const statuses = new Set(challenges.map(challengeStatus))
  const isDecided = statuses.has('valid') || statuses.has('invalid')
  return deactivated === false && !isDecided && statuses.has('processing')
}

interface Lease {
  readonly now: number
  readonly until: number
  readonly limit: number
}

/**
 * Claims in one statement. Should its answer be lost, what it claimed waits until the lease ends.
 * Another process that claims at the same time takes others.
 */
async function claim(database: Database, { now, until, limit }: Lease): Promise<readonly Claim[]> {
  const rows = await database.query(
    `WITH asked AS (
       SELECT a.id, a.facts, o.facts AS owner, one AS asked_for
       FROM rootling.acme a
       JOIN rootling.acme o ON o.kind = 'account' AND o.id = a.account
       CROSS JOIN jsonb_array_elements(a.facts->'challenges') AS one
       WHERE a.kind = 'authorization' AND a.open AND (a.facts->>'expires')::bigint > $1
         AND one ? 'requested' AND NOT one ?| '{validated,error}'
         AND NOT EXISTS (
           SELECT FROM rootling.lease l
           WHERE l.authz = a.id AND l.challenge = one->>'id' AND l.until > $1 AND l.until <= $4
         )
       ORDER BY a.id LIMIT $3 FOR UPDATE OF a SKIP LOCKED
     ), leased AS (
       INSERT INTO rootling.lease SELECT id, asked_for->>'id', $2 FROM asked
       ON CONFLICT (authz, challenge) DO UPDATE SET until = excluded.until
     )
     SELECT facts, owner, asked_for FROM asked`,
    [now, until, limit, now + longestLease],
  )
  return rows.map((row) => ({
    authorization: row['facts'] as Authorization,
    challenge: row['asked_for'] as Challenge,
    account: row['owner'] as Account,
  }))
}
