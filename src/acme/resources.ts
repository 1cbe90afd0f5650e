import { hash } from 'node:crypto'
import type { JsonWebKey } from 'node:crypto'

/** A name or an address in an order (RFC 8555 §9.7.7, RFC 8738). */
export interface AcmeIdentifier {
  readonly type: 'dns' | 'ip'
  /**
   * A name in lower case, as A-labels, which begins with `*.` for a wildcard in an order; or an
   * address in the form of RFC 5952.
   */
  readonly value: string
}

/**
 * An account of a client. The times of all resources in this file are milliseconds since 1970.
 * Resources are replaced, never changed in place.
 */
export interface Account {
  readonly id: string
  readonly status: 'valid' | 'deactivated'
  readonly jwk: JsonWebKey
  /** The thumbprint of `jwk` (RFC 7638, SHA-256, base64url). */
  readonly thumbprint: string
  readonly contact: readonly string[]
  readonly termsOfServiceAgreed: boolean
  readonly createdAt: number
  /** The binding as the client sent it (RFC 8555 §7.3.4). */
  readonly externalAccountBinding?: object
  /** The ID of the key that it is bound to; accounts of earlier versions have the binding alone. */
  readonly eabKeyId?: string
}

export interface Order {
  readonly id: string
  readonly accountId: string
  readonly identifiers: readonly AcmeIdentifier[]
  readonly authorizationIds: readonly string[]
  readonly createdAt: number
  readonly expires: number
  readonly profile: string
  /** The dates that the client asked for. */
  readonly notBefore?: number
  readonly notAfter?: number
  /** The certID (RFC 9773 §4.1) of the certificate that the order replaces. */
  readonly replaces?: string
  readonly error?: ProblemDocument
  readonly certificateId?: string
  /** The SHA-256 of the CSR (DER) for which the certificate was issued, base64url. */
  readonly csrDigest?: string
}

export interface Authorization {
  readonly id: string
  readonly accountId: string
  /** The identifier, without the `*.` of a wildcard. */
  readonly identifier: AcmeIdentifier
  readonly wildcard: boolean
  readonly expires: number
  readonly deactivated: boolean
  /** Valid without a challenge, of which it has none: the key of its account vouches for the name. */
  readonly preauthorized?: true
  readonly challenges: readonly Challenge[]
}

export type ChallengeType = 'http-01' | 'tls-alpn-01' | 'dns-01'

export interface Challenge {
  readonly id: string
  readonly type: ChallengeType
  readonly token: string
  /**
   * The time when the client asked for validation: from then on the challenge is being processed.
   */
  readonly requested?: number
  readonly validated?: number
  readonly error?: ProblemDocument
}

export interface StoredCertificate {
  readonly id: string
  readonly accountId: string
  readonly orderId: string
  readonly identifiers: readonly AcmeIdentifier[]
  /** Lower-case hex. */
  readonly serialNumber: string
  /** The key identifier of the issuer, hex: the first half of a certID. */
  readonly issuerKeyIdentifier: string
  readonly notBefore: number
  readonly notAfter: number
  /** PEM. */
  readonly leaf: string
  /** PEM: the certificates between leaf and root. */
  readonly issuers: string
  /** The ID of the order that has replaced this certificate (RFC 9773 §5). */
  readonly replacedBy?: string
}

/**
 * A key for external account binding, which an operator gives to people with ACME clients, and what the
 * accounts that are bound to it may do. What is absent does not limit them.
 */
export interface EabKey {
  readonly id: string
  /** base64url, 32 octets. */
  readonly key: string
  readonly createdAt: number
  /** What an operator calls it. */
  readonly label?: string
  /** How many accounts it may still bind. */
  readonly uses?: number
  /** The names that its accounts may order, as `parseNamePattern` returns them. */
  readonly names?: readonly string[]
  /** Of these, the names that its accounts may order without a challenge, likewise; absent: none. */
  readonly preauthorized?: readonly string[]
  /** The profiles that its accounts may order; the first is for orders that name none. */
  readonly profiles?: readonly string[]
  /** From then on it binds no account, and its accounts get no certificate. */
  readonly expires?: number
  /** When it was revoked, which has the same effect. */
  readonly revoked?: number
}

/**
 * Derives the token of a challenge from the ID of its authorization, so that the store need not keep
 * three for each name. The ID has the 128 random bits that RFC 8555 §8.3 wants, and a token does not
 * tell it.
 */
export const tokenOf = (authorizationId: string, type: ChallengeType): string =>
  hash('sha256', `${authorizationId} ${type}`, 'base64url').slice(0, 24)

/** Derives the status of a challenge from what has happened to it (RFC 8555 §7.1.6). */
export function challengeStatus(
  challenge: Challenge,
): 'pending' | 'processing' | 'valid' | 'invalid' {
  if (challenge.validated !== undefined) return 'valid'
  if (challenge.error !== undefined) return 'invalid'
  return challenge.requested === undefined ? 'pending' : 'processing'
}

/**
 * Derives the status of an authorization (RFC 8555 §7.1.6): one valid challenge makes it valid, one
 * failed challenge makes it invalid for good. The key of the account may stand in for a challenge.
 */
export function authorizationStatus(
  { deactivated, preauthorized, challenges, expires }: Authorization,
  now: number,
): 'pending' | 'valid' | 'invalid' | 'deactivated' | 'expired' {
  if (deactivated) return 'deactivated'
  const statuses = new Set(challenges.map(challengeStatus))
  if (statuses.has('invalid') && !statuses.has('valid')) return 'invalid'
  if (expires <= now) return 'expired'
  return preauthorized === true || statuses.has('valid') ? 'valid' : 'pending'
}

export type OrderStatus = 'pending' | 'ready' | 'processing' | 'valid' | 'invalid'

/**
 * Derives the status of an order (RFC 8555 §7.1.6), except for `processing`: only `statusOf` knows
 * which certificates are being issued now.
 */
export function orderStatus(
  order: Order,
  authorizations: readonly Authorization[],
  now: number,
): Exclude<OrderStatus, 'processing'> {
  if (order.certificateId !== undefined) return 'valid'
  if (order.error !== undefined || order.expires <= now) return 'invalid'
  const statuses = authorizations.map((one) => authorizationStatus(one, now))
  if (statuses.every((status) => status === 'valid')) return 'ready'
  return statuses.every((status) => status === 'valid' || status === 'pending')
    ? 'pending'
    : 'invalid'
}

/** A problem document (RFC 7807) as it is sent and stored. */
export interface ProblemDocument {
  readonly type: string
  readonly detail: string
  readonly status: number
  readonly identifier?: AcmeIdentifier
  readonly subproblems?: readonly Omit<ProblemDocument, 'status'>[]
  /** The supported algorithms, in badSignatureAlgorithm (RFC 8555 §6.2). */
  readonly algorithms?: readonly string[]
}
