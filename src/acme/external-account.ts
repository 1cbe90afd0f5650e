import { parseBoundedJson } from '../bounded-json.ts'
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Connection } from '../server/socket-owner.ts'
import type { AcmeContext } from './context.ts'
import { checkUrl, readJws, type Jws } from './jws.ts'
import { readJwk, thumbprintOf, type AccountKey } from './keys.ts'
import { isObject } from './payload.ts'
import { AcmeProblem, malformed, unauthorized } from './problems.ts'
import type { Account, EabKey } from './resources.ts'
import type { Unit } from './store/contract.ts'
import { isThisMachine } from './validation/addresses.ts'

/** Returns the ID of the key that a binding names, unverified; `undefined`: it names none. */
export function boundTo(payload: Readonly<Record<string, unknown>>): string | undefined {
  const binding = payload['externalAccountBinding']
  if (!isObject(binding)) return undefined
  try {
    const { kid } = readJws(binding).header
    return typeof kid === 'string' ? kid : undefined
  } catch {
    return undefined
  }
}

/** The IDs that `eabKeyOf` returned, by the binding, so that each binding is read once. */
const keyIds = new WeakMap<object, string>()

/**
 * Returns the ID of the EAB key that an account is bound to, `''` where its binding cannot be read;
 * `undefined`: it is bound to none.
 */
export function eabKeyOf({ eabKeyId, externalAccountBinding }: Account): string | undefined {
  if (eabKeyId !== undefined) return eabKeyId
  if (externalAccountBinding === undefined) return undefined
  const id = keyIds.get(externalAccountBinding) ?? boundTo({ externalAccountBinding }) ?? ''
  keyIds.set(externalAccountBinding, id)
  return id
}

/** Says how a key has ended; `null`: it has not. */
export function endOf({ revoked, expires }: EabKey, now: Date): string | null {
  if (revoked !== undefined) return 'was revoked'
  return expires !== undefined && expires <= now.getTime() ? 'has expired' : null
}

interface BindingRequest {
  readonly payload: Readonly<Record<string, unknown>>
  /** The key of the account. */
  readonly key: AccountKey
  /** What `whoNeedsBinding` returned. */
  readonly whose: string | null
}

/** The binding of a new account as it is kept, and the key that it was made with. */
interface Binding {
  readonly jws: object
  readonly boundTo: EabKey
}

/**
 * Verifies the binding of a new account (RFC 8555 §7.3.4) and returns it; `null` when the account
 * has none. Throws externalAccountRequired, malformed or unauthorized.
 */
export function checkBinding(
  context: Pick<AcmeContext, 'urls' | 'eabCommand' | 'now'>,
  unit: Pick<Unit, 'get'>,
  { payload, key, whose }: BindingRequest,
): Binding | null {
  const { urls, now } = context
  const binding = payload['externalAccountBinding']
  if (binding === undefined) {
    if (whose === null) return null
    throw new AcmeProblem(
      'externalAccountRequired',
      `A new account${whose} has to be bound to a key of this authority. To make one: ${context.eabCommand}`,
    )
  }
  if (!isObject(binding)) throw malformed('The externalAccountBinding is not a JWS.')
  const jws = readJws(binding)
  // An account keeps it, so its size is limited. The key of RSA with 16,384 bits fits.
  if (JSON.stringify(jws.flattened).length > longestBinding)
    throw malformed(`The externalAccountBinding has more than ${longestBinding} characters.`)
  const { alg, kid } = jws.header
  if (alg !== 'HS256')
    throw new AcmeProblem('badSignatureAlgorithm', 'The externalAccountBinding has to use HS256.', {
      algorithms: ['HS256'],
    })
  if (typeof kid !== 'string')
    throw malformed('The externalAccountBinding names no key identifier (kid).')
  const other = Object.keys(jws.header).find((name) => !['alg', 'kid', 'url'].includes(name))
  if (other !== undefined)
    throw malformed(
      `The header of the externalAccountBinding has the member ${JSON.stringify(other.slice(0, 40))}; only alg, kid and url may be there.`,
    )
  checkUrl(jws, urls.newAccount)
  const known = unit.get('eabKey', kid)
  if (known === undefined) throw unauthorized('The externalAccountBinding names an unknown key.')
  const bound = verifyBinding(jws, known)
  if (thumbprintOf(readJwk(bound).jwk) !== thumbprintOf(key.jwk))
    throw malformed('The externalAccountBinding binds another key.')
  // Only who has the key learns what became of it.
  const end = endOf(known, now()) ?? (known.uses === 0 ? 'has bound all accounts it may' : null)
  if (end !== null)
    throw unauthorized(`The key of the externalAccountBinding ${end}: ask for another key.`)
  // Keeps the verified JWS alone: other members may be nested deeper than JSON can be written.
  return { jws: jws.flattened, boundTo: known }
}

/** The most characters of a binding as JSON. */
const longestBinding = 5_000

/**
 * Verifies the HMAC of a binding (RFC 7515, HS256), and returns its payload. It is synchronous, so that
 * the key is read and the account made in one step.
 */
function verifyBinding({ flattened }: Jws, { key }: EabKey): unknown {
  const { protected: head, payload, signature } = flattened
  const wanted = createHmac('sha256', Buffer.from(key, 'base64url'))
    .update(`${head}.${payload}`)
    .digest()
  const given = Buffer.from(signature, 'base64url')
  const isSound = given.length === wanted.length && timingSafeEqual(given, wanted)
  try {
    if (isSound) return parseBoundedJson(Buffer.from(payload, 'base64url').toString())
  } catch {
    // What it holds is not JSON.
  }
  throw unauthorized('The externalAccountBinding was not made with the key that it names.')
}

/**
 * Returns whose accounts need a binding, if the account of this payload has none and needs one, as
 * words for a sentence; `null`: it needs none. Another machine, or another user of this machine, who
 * got certificates for localhost could later listen on ports that its owner's clients trust.
 */
export async function whoNeedsBinding(
  { options, owners }: Pick<AcmeContext, 'options' | 'owners'>,
  payload: Readonly<Record<string, unknown>>,
  connection: Connection,
): Promise<string | null> {
  if (payload['externalAccountBinding'] !== undefined) return null
  if (options.openToAll) return null
  if (options.eabRequired) return ''
  if (!isThisMachine(connection.remoteAddress ?? '')) return ' from another machine'
  const whose = (await owners?.ofPeer(connection)) ?? 'ours'
  if (whose === 'foreign') return ' of another user of this machine'
  if (whose === 'ours') return null
  return ' of a user whom this machine does not name'
}
