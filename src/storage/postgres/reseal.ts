import { RootlingError } from '../../errors.ts'
import type { Database } from './database.ts'
import type { Sealer } from './seal.ts'
import { wrappedName } from './wrapped.ts'

export interface Resealing {
  /** What opens the keys now. */
  readonly from: Sealer
  readonly to: Sealer
  /** The new passphrase as a PKCS #11 module wrapped it; `null`: it is kept elsewhere. */
  readonly wrapped: Buffer | null
}

/**
 * Seals all that is sealed in a database anew, in one transaction: the keys of the authorities, the
 * secret of nonces, the keys for external account binding. Returns how much that was; 0: `to` opens all
 * of it already. Only the owner of the schema may do so. Throws `bad-key` where `from` does not open
 * something, `usage` for another role, and `database-away`.
 */
export async function reseal(
  database: Database,
  { from, to, wrapped }: Resealing,
): Promise<number> {
  try {
    return await database.transaction(async () => {
      // What is being sealed with the old key ends first, and what comes later finds the new one. Units
      // take this lock and the next one in the same order.
      await database.query('LOCK TABLE rootling.acme, rootling.secret IN SHARE ROW EXCLUSIVE MODE')
      await database.query('SELECT pg_advisory_xact_lock(7274646, 1)')
      const all = await readSealed(database)
      if (opensAll(to, all)) return 0
      for (const { sealed, context, write } of all)
        await write(to.seal(openBy(from, sealed, context, database), context))
      await database.query('DELETE FROM rootling.secret WHERE name = $1', [wrappedName])
      if (wrapped !== null)
        await database.query('INSERT INTO rootling.secret VALUES ($1, $2)', [wrappedName, wrapped])
      await database.query("SELECT rootling.touch('scopes')")
      await database.query(
        "SELECT rootling.audit('resealed', jsonb_build_object('secrets', $1::int))",
        [all.length],
      )
      return all.length
    })
  } catch (error) {
    if ((error as { code?: unknown }).code !== insufficientPrivilege) throw error
    throw new RootlingError('usage', `This role may not seal the keys of ${database.place} anew.`, {
      hint: 'rootling server rekey --database URL-OF-THE-OWNER',
      cause: error,
    })
  }
}

/** An SQLSTATE. */
const insufficientPrivilege = '42501'

interface Sealed {
  readonly sealed: Buffer
  /** What it was sealed for. */
  readonly context: string
  readonly write: (sealed: Buffer) => Promise<unknown>
}

async function readSealed(database: Database): Promise<Sealed[]> {
  const scopes = await database.query(
    'SELECT name, part, key_digest, sealed_key FROM rootling.scope',
  )
  const secrets = await database.query('SELECT name, value FROM rootling.secret WHERE name <> $1', [
    wrappedName,
  ])
  const eabKeys = await database.query(
    "SELECT id, facts->>'sealed' AS sealed FROM rootling.acme WHERE kind = 'eabKey'",
  )
  return [
    ...scopes.map(({ name, part, key_digest: digest, sealed_key: sealed }) => ({
      sealed: sealed as Buffer,
      context: `the key ${String(digest)}`,
      write: (again: Buffer) =>
        database.query('UPDATE rootling.scope SET sealed_key = $3 WHERE name = $1 AND part = $2', [
          name,
          part,
          again,
        ]),
    })),
    ...secrets.map(({ name, value }) => ({
      sealed: value as Buffer,
      context: String(name),
      write: (again: Buffer) =>
        database.query('UPDATE rootling.secret SET value = $2 WHERE name = $1', [name, again]),
    })),
    ...eabKeys.map(({ id, sealed }) => ({
      sealed: Buffer.from(String(sealed), 'base64url'),
      context: `the key ${String(id)}`,
      write: (again: Buffer) =>
        database.query(
          `UPDATE rootling.acme SET version = version + 1,
             facts = jsonb_set(facts, '{sealed}', to_jsonb($2::text))
           WHERE kind = 'eabKey' AND id = $1`,
          [id, again.toString('base64url')],
        ),
    })),
  ]
}

function openBy(from: Sealer, sealed: Buffer, context: string, { place }: Database): Buffer {
  try {
    return from.open(sealed, context)
  } catch (cause) {
    if (!(cause instanceof RootlingError)) throw cause
    throw new RootlingError('bad-key', `The passphrase does not open the keys in ${place}.`, {
      hint: 'Give the one that opens them now: --passphrase-file FILE',
      cause,
    })
  }
}

function opensAll(sealer: Sealer, all: readonly Sealed[]): boolean {
  try {
    for (const { sealed, context } of all) sealer.open(sealed, context)
    return true
  } catch (error) {
    if (error instanceof RootlingError && error.code === 'bad-key') return false
    throw error
  }
}
