import { makeScope } from '../authority/ceremony.ts'
import {
  isTrusted,
  noAuthority,
  scopesIn,
  scopesInPart,
  type AnyScope,
} from '../authority/scope.ts'
import { openSigner } from '../authority/signer.ts'
import { RootlingError } from '../errors.ts'
import { lastEnd } from '../storage/postgres/last-end.ts'
import type { Database } from '../storage/postgres/database.ts'
import type { Change, Storage } from '../storage/storage.ts'
import { day } from '../x509/profiles.ts'

/**
 * A team's authorities, beside the one of its administrators. Each has a name of its own, and so a CRL, a URL of that and a part of the record
 * of its own: `team`, `team-2`, and so on.
 */
export interface TeamAuthorities {
  /** Signs all that is issued. */
  readonly current: AnyScope
  /** Its root is published, and it signs nothing yet; `null`: no rotation was prepared. */
  readonly next: AnyScope | null
  /** Replaced by rotations; they sign their CRLs and OCSP alone. */
  readonly retired: readonly Retired[]
}

interface Retired {
  readonly scope: AnyScope
  /** When the last of its certificates ends; `null`: it has none. */
  readonly until: Date | null
}

/** How many days machines have to trust the next root before it signs, unless somebody knows better. */
const daysToTrust = 7

/** Reads a team's authorities. Throws `no-authority`, and `database-away`. */
export function readAuthorities(database: Database, storage: Storage): Promise<TeamAuthorities> {
  // One transaction, so that no rotation is seen half.
  return database.transaction(() => authoritiesIn(database, storage))
}

async function authoritiesIn(
  database: Database,
  storage: Pick<Storage, 'scopes' | 'place'>,
): Promise<TeamAuthorities> {
  const current = (await scopesIn(storage)).find(isTrusted)
  if (current === undefined)
    throw new RootlingError('no-authority', `There is no authority in ${storage.place} yet.`, {
      hint: 'rootling server init',
      cause: noAuthority(),
    })
  const [next = null] = await scopesInPart(storage, '.next')
  const retired: Retired[] = []
  for (const scope of await scopesInPart(storage, '.old'))
    retired.push({ scope, until: await lastEnd(database, scope.name) })
  return { current, next, retired }
}

/** What a step of a rotation did: `false`: it had been done before. */
export interface Rotated extends TeamAuthorities {
  readonly changed: boolean
}

/**
 * Makes the authority that will follow the one in use, with the same constraints and new keys, and
 * publishes its root. It signs nothing before `activateRotation`. The passphrase has to be the one that
 * opens the current key: throws `bad-key` for another, and what `readAuthorities` throws.
 */
export function prepareRotation(database: Database, storage: Storage, now: Date): Promise<Rotated> {
  return storage.change(async (change) => {
    const before = await authoritiesIn(database, { ...storage, ...change })
    const { current, next } = before
    await change.keys.read(current.name, current.keyDigest)
    if (next !== null) return { ...before, changed: false }
    const { permitted, constraints } = current
    const { intermediateKey, ...scope } = await makeScope(
      { name: nameAfter(current.name), permitted, constraints },
      now,
    )
    await change.createScope(scope, intermediateKey, '.next')
    return { ...(await authoritiesIn(database, { ...storage, ...change })), changed: true }
  })
}

/** Returns the name of the authority after another: `team-2` after `team`. */
function nameAfter(name: string): string {
  const [, stem = name, number = '1'] = /^(.*)-(\d+)$/.exec(name) ?? []
  return `${stem}-${Number(number) + 1}`
}

export interface Activation {
  readonly now: Date
  /** Whether the machines are known to trust the next root, however young it is. */
  readonly early?: boolean | undefined
}

/**
 * Has the next authority sign all that is issued from now on. The one before keeps its key, for its CRL
 * and OCSP. Throws `usage` where nothing was prepared, and where that was less than a week ago; `bad-key`
 * where the passphrase does not open the next key; and what `readAuthorities` throws.
 */
export function activateRotation(
  database: Database,
  storage: Storage,
  { now, early = false }: Activation,
): Promise<Rotated> {
  return storage.change(async (change) => {
    const within = { ...storage, ...change }
    const before = await authoritiesIn(database, within)
    const { current, next, retired } = before
    if (next === null && retired.length > 0) return { ...before, changed: false }
    if (next === null)
      throw new RootlingError('usage', 'There is no next authority to activate.', {
        hint: 'rootling server rotate --prepare',
      })
    if (!early) refuseYoung(next, now)
    await openSigner(change.keys, next, now)
    await retire(change, current.name)
    await change.switchScope(next.name)
    return { ...(await authoritiesIn(database, within)), changed: true }
  })
}

function refuseYoung({ created }: AnyScope, now: Date): void {
  const age = now.getTime() - Date.parse(created)
  if (age >= daysToTrust * day) return
  const from = new Date(Date.parse(created) + daysToTrust * day)
  throw new RootlingError(
    'usage',
    `The next root was published on ${created}; until ${from.toISOString()} machines may not trust it yet.`,
    { hint: 'If all of them do: rootling server rotate --activate --now' },
  )
}

/** Moves a scope to the part `.old`, where it signs no certificates. */
async function retire(change: Change, name: string): Promise<void> {
  const { keyDigest, ...half } = await change.scopes.read(name)
  const key = await change.keys.read(name, keyDigest)
  const rootCrl = await change.scopes.rootCrl(name)
  await change.createScope({ ...half, rootCrl }, key, '.old')
  await change.deleteScope(name)
}

/**
 * Deletes the replaced authorities whose last certificate has ended, with their keys: their roots are no
 * longer published, and their CRLs no longer served. Throws what `readAuthorities` throws.
 */
export function finishRotation(database: Database, storage: Storage, now: Date): Promise<Rotated> {
  return storage.change(async (change) => {
    const within = { ...storage, ...change }
    const { retired } = await authoritiesIn(database, within)
    const ended = retired.filter(({ until }) => until === null || until <= now)
    for (const { scope } of ended) await change.deleteScope(scope.name, '.old')
    return { ...(await authoritiesIn(database, within)), changed: ended.length > 0 }
  })
}
