import { isObject } from '../payload.ts'
import {
  tokenOf,
  type AcmeIdentifier,
  type Authorization,
  type Challenge,
  type ChallengeType,
} from '../resources.ts'

/**
 * An authorization without its account, in the form that memory and journal keep: an order of 100 names
 * has as many, and their names of members would take most of the room.
 */
export type PackedAuthorization = readonly [
  id: string,
  type: AcmeIdentifier['type'],
  value: string,
  expires: number,
  /** The sum of 1: wildcard, 2: deactivated, 4: preauthorized. */
  flags: number,
  challenges: readonly PackedChallenge[],
]

/** 0 is for an absent time, and for the token of `tokenOf`. The ID is left out where it is the type. */
type PackedChallenge = readonly [
  type: ChallengeType,
  token: string | 0,
  requested?: number,
  validated?: number,
  error?: Challenge['error'] | 0,
  id?: string | undefined,
]

export function packAuthorization(authorization: Authorization): PackedAuthorization {
  const { id, identifier, expires, wildcard, deactivated, preauthorized, challenges } =
    authorization
  const flags = (wildcard ? 1 : 0) + (deactivated ? 2 : 0) + (preauthorized === true ? 4 : 0)
  return [
    id,
    identifier.type,
    identifier.value,
    expires,
    flags,
    challenges.map((one) => packChallenge(id, one)),
  ]
}

function packChallenge(authorizationId: string, challenge: Challenge): PackedChallenge {
  const { id, type, requested = 0, validated = 0, error = 0 } = challenge
  const token = challenge.token === tokenOf(authorizationId, type) ? 0 : challenge.token
  return shortened([type, token, requested, validated, error, id === type ? undefined : id])
}

/** Leaves out what is absent at the end. */
function shortened(challenge: PackedChallenge): PackedChallenge {
  const [type, token, requested = 0, validated = 0, error = 0, id] = challenge
  if (id !== undefined) return [type, token, requested, validated, error, id]
  if (error !== 0) return [type, token, requested, validated, error]
  if (validated !== 0) return [type, token, requested, validated]
  return requested === 0 ? [type, token] : [type, token, requested]
}

export function unpackAuthorization(
  accountId: string,
  [id, type, value, expires, flags, challenges]: PackedAuthorization,
): Authorization {
  return {
    id,
    accountId,
    identifier: { type, value },
    wildcard: (flags & 1) !== 0,
    expires,
    deactivated: (flags & 2) !== 0,
    ...((flags & 4) === 0 ? {} : { preauthorized: true }),
    challenges: challenges.map((one) => unpackChallenge(id, one)),
  }
}

function unpackChallenge(authorizationId: string, packed: PackedChallenge): Challenge {
  const [type, token, requested = 0, validated = 0, error = 0, id = type] = packed
  return {
    id,
    type,
    token: token === 0 ? tokenOf(authorizationId, type) : token,
    ...(requested === 0 ? {} : { requested }),
    ...(validated === 0 ? {} : { validated }),
    ...(error === 0 ? {} : { error }),
  }
}

/** Returns the names of an order as one text, which takes a third of the memory that objects take. */
export const packNames = (identifiers: readonly AcmeIdentifier[] = []): string =>
  identifiers.map(({ type, value }) => `${type} ${value}`).join('\n')

export const unpackNames = (names: string): AcmeIdentifier[] =>
  (names === '' ? [] : names.split('\n')).map((name) => {
    const [type, value = ''] = name.split(' ')
    return { type: type === 'ip' ? 'ip' : 'dns', value }
  })

/** What has happened to one challenge, and until when its authorization is valid now. */
export type ChallengeChange = readonly [
  authorizationId: string,
  /** Which of the challenges it is, from 0. */
  index: number,
  expires: number,
  requested: number,
  validated: number,
  error: Challenge['error'] | 0,
]

/**
 * Returns the change that makes one authorization of the other; `null` where more has changed than one
 * challenge.
 */
export function challengeChange(
  before: PackedAuthorization,
  after: PackedAuthorization,
): ChallengeChange | null {
  const [id, , , expires, flags, challenges] = after
  const differs = (index: number): boolean =>
    JSON.stringify(challenges[index]) !== JSON.stringify(before[5][index])
  const [index, ...more] = [...challenges.keys()].filter(differs)
  if (index === undefined || more.length > 0 || flags !== before[4]) return null
  const [, , requested = 0, validated = 0, error = 0] = challenges[index] ?? []
  return [id, index, expires, requested, validated, error]
}

/** Makes the change; an index that does not exist changes no challenge. */
export function withChange(
  [id, type, value, , flags, challenges]: PackedAuthorization,
  [, index, expires, requested, validated, error]: ChallengeChange,
): PackedAuthorization {
  const changed = challenges.map((challenge, i): PackedChallenge => {
    if (i !== index) return challenge
    return shortened([challenge[0], challenge[1], requested, validated, error, challenge[5]])
  })
  return [id, type, value, expires, flags, changed]
}

export function isChallengeChange(value: readonly unknown[]): value is ChallengeChange {
  const [id, index, expires, requested, validated, error] = value
  return (
    typeof id === 'string' &&
    [index, expires, requested, validated].every((one) => typeof one === 'number') &&
    (error === 0 || isObject(error))
  )
}

/** Whether JSON has the form of a packed authorization. */
export function isPackedAuthorization(value: unknown): value is PackedAuthorization {
  if (!Array.isArray(value)) return false
  const [id, type, name, expires, flags, challenges]: unknown[] = value
  return (
    [id, type, name].every((one) => typeof one === 'string') &&
    [expires, flags].every((one) => typeof one === 'number') &&
    Array.isArray(challenges) &&
    challenges.every(isPackedChallenge)
  )
}

function isPackedChallenge(value: unknown): boolean {
  if (!Array.isArray(value)) return false
  const [type, token, requested = 0, validated = 0, error = 0, id = '']: unknown[] = value
  return (
    [type, id].every((one) => typeof one === 'string') &&
    (token === 0 || typeof token === 'string') &&
    [requested, validated].every((one) => typeof one === 'number') &&
    (error === 0 || isObject(error))
  )
}
