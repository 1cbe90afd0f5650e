import { verify } from 'node:crypto'
import { parseBoundedJson } from '../bounded-json.ts'
import { algorithmOf, readJwk, type AccountKey } from './keys.ts'
import { isObject } from './payload.ts'
import { AcmeProblem, malformed, unauthorized } from './problems.ts'

/** A JWS in the flattened serialization (RFC 7515 §7.2.2), not verified yet. */
export interface Jws {
  readonly header: Readonly<Record<string, unknown>>
  readonly flattened: Flattened
}

/** The members of the serialization, each in base64url. */
interface Flattened {
  readonly protected: string
  readonly payload: string
  readonly signature: string
}

/** Reads a request's body (RFC 8555 §6.2). Throws malformed for any other serialization. */
export function parseJws(text: string): Jws {
  return readJws(parseObject(text, 'The body'))
}

/** Reads a JWS from parsed JSON. Throws malformed. */
export function readJws(body: Readonly<Record<string, unknown>>): Jws {
  for (const name of ['header', 'signatures'])
    if (name in body) throw malformed(`The JWS has the member ${name}, which ACME forbids.`)
  const { protected: head, payload, signature } = body
  if (!isBase64url(head) || head === '') throw malformed('The JWS has no protected header.')
  if (!isBase64url(payload)) throw malformed('The JWS has no payload in base64url.')
  if (!isBase64url(signature)) throw malformed('The JWS has no signature in base64url.')
  const header = parseObject(Buffer.from(head, 'base64url').toString(), 'The protected header')
  if ('b64' in header) throw malformed('The JWS has the header b64, which ACME forbids.')
  return { header, flattened: { protected: head, payload, signature } }
}

/**
 * Whether a value is base64url without padding, white space or characters of the other alphabet
 * (RFC 8555 §6.1).
 */
function isBase64url(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9_-]*$/.test(value)
}

function parseObject(text: string, what: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = parseBoundedJson(text)
  } catch (error) {
    throw malformed(`${what} is not JSON.`, { cause: error })
  }
  if (isObject(value)) return value
  throw malformed(`${what} is not a JSON object.`)
}

/**
 * The key of a signature: the key itself (jwk), or the URL of the account that has the key (kid).
 */
export type KeyReference = { readonly jwk: AccountKey } | { readonly kid: string }

/**
 * Returns the key that the header names. Throws malformed unless the header has exactly one of jwk
 * and kid (RFC 8555 §6.2).
 */
export function keyReference({ header }: Jws): KeyReference {
  const { jwk, kid } = header
  if (jwk !== undefined && kid !== undefined)
    throw malformed('The JWS has both jwk and kid; use one of them.')
  if (jwk !== undefined) return { jwk: readJwk(jwk) }
  if (typeof kid === 'string') return { kid }
  throw malformed('The JWS has neither jwk nor kid; use one of them.')
}

/** Throws unauthorized unless the url in the header is that of the request (RFC 8555 §6.4). */
export function checkUrl({ header: { url } }: Jws, expected: string): void {
  if (typeof url !== 'string') throw malformed('The JWS names no url.')
  if (url === expected) return
  throw unauthorized(`The JWS was signed for ${url.slice(0, 200)}, and sent to ${expected}.`)
}

/**
 * Returns the nonce in the header. Throws badNonce when there is none (RFC 8555 §6.5.2), or
 * malformed.
 */
export function nonceOf({ header: { nonce } }: Jws): string {
  if (nonce === undefined) throw new AcmeProblem('badNonce', 'The JWS has no nonce.')
  if (isBase64url(nonce) && nonce !== '') return nonce
  throw malformed('The nonce of the JWS is not in base64url.')
}

/** Whether a request only reads (RFC 8555 §6.3); not verified. */
export const isPostAsGet = ({ flattened: { payload } }: Jws): boolean => payload === ''

/** Returns the payload, not verified; an empty object where it is none, for a later complaint. */
export function peekPayload({ flattened }: Jws): Readonly<Record<string, unknown>> {
  try {
    return parseObject(Buffer.from(flattened.payload, 'base64url').toString(), '')
  } catch {
    return {}
  }
}

/**
 * Verifies the signature and returns the payload; `null` when the payload is empty, as in
 * POST-as-GET. Throws badSignatureAlgorithm with the supported algorithms, or malformed.
 */
export function verifyJws(
  { header, flattened }: Jws,
  key: AccountKey,
): Readonly<Record<string, unknown>> | null {
  const { digest } = algorithmOf(header['alg'], key)
  // No extension is known here, so none may be critical (RFC 7515 §4.1.11).
  if ('crit' in header)
    throw malformed('The JWS has the header crit, with extensions unknown here.')
  const { protected: head, payload, signature } = flattened
  const signed = Buffer.from(`${head}.${payload}`)
  // ECDSA's two numbers follow each other (RFC 7518 §3.4).
  const how = { key: key.publicKey, dsaEncoding: 'ieee-p1363' as const }
  if (!verify(digest, signed, how, Buffer.from(signature, 'base64url')))
    throw malformed('The signature of the JWS does not match its key.')
  if (payload === '') return null
  return parseObject(Buffer.from(payload, 'base64url').toString(), 'The payload')
}
