import { randomBytes } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import { newId, type AcmeContext } from './context.ts'
import { eabKeyOf, endOf } from './external-account.ts'
import { throwFaults } from './identifiers.ts'
import { fitsPattern, parseNamePattern } from './name-patterns.ts'
import { AcmeProblem, unauthorized } from './problems.ts'
import type { Account, AcmeIdentifier, EabKey } from './resources.ts'
import { commitStep, type Unit } from './store/contract.ts'
import { isLoopback } from './validation/addresses.ts'

/** What the accounts that are bound to a new key may do. */
export interface EabKeyOptions {
  /** What the operator calls the key, at most 200 characters. */
  readonly label?: string | undefined
  /**
   * The names that its accounts may order, as `parseNamePattern` reads them; default: all that the
   * authority permits.
   */
  readonly names?: readonly string[] | undefined
  /**
   * The names that its accounts may order without a challenge, in place of which this key vouches for
   * them; default: none. Where `names` is given too, a name has to fit both. Where the server limits
   * where validation goes, since it is for other machines, no loopback name is among them.
   */
  readonly preauthorized?: readonly string[] | undefined
  /**
   * The profiles that its accounts may order; default: all. An order that names no profile has the
   * `default` one where that is among them, and else the first.
   */
  readonly profiles?: readonly string[] | undefined
  /** How many accounts it may bind; default 1. `null`: any number. */
  readonly uses?: number | null | undefined
  /** From then on it binds no account, and its accounts get no certificate; default: never. */
  readonly expires?: Date | undefined
}

/**
 * The key that an operator gives to people who may open accounts: ACME clients ask for both
 * members.
 */
export interface CreatedEabKey {
  readonly kid: string
  /** base64url, for HS256. */
  readonly hmacKey: string
}

/** A key without its secret. */
export type ListedEabKey = Omit<EabKey, 'key'>

type Operator = Pick<AcmeContext, 'store' | 'now' | 'options' | 'profiles' | 'eabCommand'>

/**
 * Makes a key for external account binding. Without options it limits nothing, and any number of
 * accounts may be bound to it. Throws `usage` for options.
 */
export async function createEabKey(
  { store, now, options: { validation }, profiles }: Operator,
  options?: EabKeyOptions,
): Promise<CreatedEabKey> {
  if (validation !== undefined) refuseLoopback(options?.preauthorized ?? [])
  const made: EabKey = {
    id: newId(),
    key: randomBytes(32).toString('base64url'),
    createdAt: now().getTime(),
    ...(options === undefined ? {} : limitsOf(options, [...profiles.keys()], now())),
  }
  await commitStep(store, {}, (unit) => unit.put('eabKey', made))
  return { kid: made.id, hmacKey: made.key }
}

/**
 * Throws `usage` for loopback names. They mean the machine that uses them: by such a key its holder would
 * be localhost to everybody who trusts the authority.
 */
function refuseLoopback(patterns: readonly string[]): void {
  const refused = patterns.find((pattern) => isLoopback(hostIn(parseNamePattern(pattern))))
  if (refused === undefined) return
  throw usage(
    `${refused} names each machine for itself, so no key vouches for it.`,
    'On one machine its own authority signs such names: rootling issue localhost',
  )
}

/** Returns a name of the pattern, or its first address. */
const hostIn = (pattern: string): string => pattern.replace(/^\*\./, '').replace(/\/\d+$/, '')

/** The most patterns of a key. */
const mostPatterns = 100

function limitsOf(
  options: EabKeyOptions,
  known: readonly string[],
  now: Date,
): Partial<ListedEabKey> {
  const { label, profiles, uses = 1, expires } = options
  const [names, preauthorized] = [options.names, options.preauthorized].map(patternsOf)
  if (label !== undefined && label.length > 200)
    throw usage('The label has more than 200 characters.', 'Give the key a shorter label')
  const unknown = profiles?.find((name) => !known.includes(name))
  if (unknown !== undefined)
    throw usage(`There is no profile ${unknown}.`, `The profiles are ${known.join(', ')}`)
  if (profiles?.length === 0) throw usage('The key is for no profile.', known.join(', '))
  if (uses !== null && (!Number.isSafeInteger(uses) || uses < 1))
    throw usage(
      `${uses} is not a number of accounts that a key can bind.`,
      'Give an integer from 1 up',
    )
  if (expires !== undefined && !(expires.getTime() > now.getTime()))
    throw usage('The key would expire before it is made.', 'Give a time that is still to come')
  return {
    ...(label === undefined ? {} : { label }),
    ...(names === undefined ? {} : { names }),
    ...(preauthorized === undefined ? {} : { preauthorized }),
    ...(profiles === undefined ? {} : { profiles }),
    ...(uses === null ? {} : { uses }),
    ...(expires === undefined ? {} : { expires: expires.getTime() }),
  }
}

function patternsOf(names: readonly string[] | undefined): readonly string[] | undefined {
  if (names === undefined) return undefined
  if (names.length === 0) throw usage('The key is for no name.', 'For example *.team.internal')
  if (names.length > mostPatterns)
    throw usage(
      `${names.length} names are too many for one key; ${mostPatterns} are the most.`,
      'Use *.DOMAIN for all names of a domain',
    )
  return [...new Set(names.map(parseNamePattern))]
}

const usage = (message: string, hint: string): RootlingError =>
  new RootlingError('usage', message, { hint })

/** Returns all keys without their secrets, oldest first. */
export async function listEabKeys({ store }: Operator): Promise<ListedEabKey[]> {
  const withoutSecret = (one: EabKey): ListedEabKey =>
    Object.fromEntries(Object.entries(one).filter(([name]) => name !== 'key')) as never
  return (await store.eabKeys()).map(withoutSecret)
}

/**
 * Revokes a key: it binds no account any more, and its accounts get no certificates. `false`: it was
 * revoked before. Throws `usage` where there is no such key.
 */
export async function revokeEabKey(
  { store, now, eabCommand }: Operator,
  kid: string,
): Promise<boolean> {
  const changed = await commitStep(store, { eabKey: kid }, (unit) => {
    const key = unit.get('eabKey', kid)
    if (key === undefined)
      throw usage(
        `There is no key ${kid.slice(0, 60)} here.`,
        eabCommand.replace('eab create', 'eab list'),
      )
    if (key.revoked !== undefined) return false
    unit.put('eabKey', { ...key, revoked: now().getTime() })
    return true
  })
  if (changed !== null) return changed
  throw new RootlingError('locked', `The key ${kid.slice(0, 60)} was in use all the time.`, {
    hint: 'Try again',
  })
}

/**
 * Returns the key that an account is bound to; `undefined`: it is bound to none, or by an earlier version
 * to one that is gone. Throws unauthorized where the key has ended, so that its accounts get no
 * certificates.
 */
export function keyOfAccount(
  unit: Pick<Unit, 'get'>,
  account: Account,
  now: Date,
): EabKey | undefined {
  const id = eabKeyOf(account)
  const key = id === undefined ? undefined : unit.get('eabKey', id)
  if (key === undefined) {
    if (account.eabKeyId === undefined) return undefined
    throw unauthorized('The key that this account is bound to is gone: open an account by another.')
  }
  const end = endOf(key, now)
  if (end === null) return key
  throw unauthorized(
    `The key that this account is bound to ${end}, so the account gets no certificates: open an account by another key.`,
  )
}

/** Throws rejectedIdentifier or invalidProfile for an order that a key does not permit. */
export function checkKeyPermits(
  { names, profiles }: EabKey,
  identifiers: readonly AcmeIdentifier[],
  profile: string,
): void {
  if (names !== undefined)
    throwFaults(
      identifiers
        .filter((identifier) => !fitsPattern(identifier, names))
        .map((identifier) => ({
          type: 'rejectedIdentifier',
          detail: `${identifier.value} is not one of the names that this account's key is for: ${names.join(', ').slice(0, 300)}.`,
          identifier,
        })),
    )
  if (profiles?.includes(profile) === false)
    throw new AcmeProblem(
      'invalidProfile',
      `The profile ${profile} is not one that this account's key is for: ${profiles.join(', ')}.`,
    )
}
