import { RootlingError } from '../errors.ts'
import { isOutage, retryAfterOutage } from '../storage/outage.ts'
import type { AcmeIdentifier, ProblemDocument } from './resources.ts'

const namespace = 'urn:ietf:params:acme:error:'

/**
 * The types of problems in RFC 8555 §6.7, RFC 9773 §7.4 and draft-ietf-acme-profiles, each with its
 * usual status.
 */
const statuses = {
  accountDoesNotExist: 400,
  alreadyReplaced: 409,
  alreadyRevoked: 400,
  badCSR: 400,
  badNonce: 400,
  badPublicKey: 400,
  badRevocationReason: 400,
  badSignatureAlgorithm: 400,
  connection: 400,
  dns: 400,
  externalAccountRequired: 403,
  incorrectResponse: 403,
  invalidContact: 400,
  invalidProfile: 400,
  malformed: 400,
  orderNotReady: 403,
  rateLimited: 429,
  rejectedIdentifier: 400,
  serverInternal: 500,
  tls: 400,
  unauthorized: 403,
  unsupportedContact: 400,
  unsupportedIdentifier: 400,
} as const

export type ProblemType = keyof typeof statuses

export interface ProblemOptions {
  /** Replaces the usual status of the type. */
  readonly status?: number
  readonly subproblems?: readonly Subproblem[]
  readonly algorithms?: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
  /** With `rateLimited`: the limit that was reached, such as `ordersPerHour`, for metrics. */
  readonly limit?: string
  readonly cause?: unknown
}

/** The problem with one identifier of several (RFC 8555 §6.7.1). */
export interface Subproblem {
  readonly type: ProblemType
  readonly detail: string
  readonly identifier: AcmeIdentifier
}

/**
 * The error of a request or a validation that fails; its problem document (RFC 8555 §6.7) is the
 * answer.
 */
export class AcmeProblem extends Error {
  readonly document: ProblemDocument
  readonly headers: Readonly<Record<string, string>>
  /** The limit that was reached; `undefined`: it is another problem. Clients do not see it. */
  readonly limit: string | undefined

  constructor(type: ProblemType, detail: string, options: ProblemOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'AcmeProblem'
    this.headers = options.headers ?? {}
    this.limit = options.limit
    const { subproblems = [], algorithms } = options
    this.document = {
      type: namespace + type,
      detail,
      status: options.status ?? statuses[type],
      ...(subproblems.length === 0
        ? {}
        : { subproblems: subproblems.map((one) => ({ ...one, type: namespace + one.type })) }),
      ...(algorithms === undefined ? {} : { algorithms }),
    }
  }
}

/** Returns the error's sentence and its hint in one text: an ACME client prints nothing else. */
export function detailOf(error: RootlingError): string {
  return error.hint === undefined ? error.message : `${error.message} ${asSentence(error.hint)}`
}

function asSentence(hint: string): string {
  return /^(?:rootling|openssl) /.test(hint) ? `To fix it: ${hint}` : hint
}

/** Whether a problem is that a limit is reached. */
export const isRateLimited = ({ document }: AcmeProblem): boolean =>
  document.type === `${namespace}rateLimited`

/**
 * Returns the problem for anything that was thrown: `serverInternal` for all but an AcmeProblem.
 * Where another process holds the lock, or the database is away, the client may try again (RFC 8555 §6.6 has Retry-After).
 */
export function asProblem(error: unknown): AcmeProblem {
  if (error instanceof AcmeProblem) return error
  // The error names the database's place, which is no client's affair.
  if (isOutage(error))
    return new AcmeProblem(
      'serverInternal',
      'The server cannot reach its own records at the moment: try again.',
      { status: 503, headers: { 'Retry-After': retryAfterOutage }, cause: error },
    )
  const detail =
    error instanceof RootlingError ? detailOf(error) : 'Something went wrong inside the server.'
  const isBusy = error instanceof RootlingError && error.code === 'locked'
  const later = isBusy ? { status: 503, headers: { 'Retry-After': '10' } } : {}
  return new AcmeProblem('serverInternal', detail, { ...later, cause: error })
}

export const malformed = (detail: string, options?: ProblemOptions): AcmeProblem =>
  new AcmeProblem('malformed', detail, options)

export const unauthorized = (detail: string): AcmeProblem => new AcmeProblem('unauthorized', detail)

export const notFound = (detail: string): AcmeProblem => malformed(detail, { status: 404 })
