import { parseBoundedJson } from '../bounded-json.ts'
import { randomBytes } from 'node:crypto'
import type { Connection } from '../server/socket-owner.ts'
import { newId, type AcmeContext } from './context.ts'
import { checkUrl, readJws } from './jws.ts'
import { readJwk, thumbprintOf, type AccountKey } from './keys.ts'
import { isObject } from './payload.ts'
import { AcmeProblem, malformed, unauthorized } from './problems.ts'
import type { EabKey } from './resources.ts'
import { isThisMachine } from './validation/addresses.ts'

/**
 * The key that an operator gives to people who may open accounts: ACME clients ask for both
 * members.
 */
export interface CreatedEabKey {
  readonly kid: string
  /** base64url, for HS256. */
  readonly hmacKey: string
}

/** Makes a key for external account binding; several accounts may be bound to it. */
export async function createEabKey({ store, now }: AcmeContext): Promise<CreatedEabKey> {
  const made: EabKey = {
    id: newId(),
    key: randomBytes(32).toString('base64url'),
    createdAt: now().getTime(),
  }
  store.put('eabKey', made)
  await store.saved()
  return { kid: made.id, hmacKey: made.key }
}

/**
 * Verifies the binding of a new account (RFC 8555 §7.3.4) and returns it; `null` when the account
 * has none. Throws externalAccountRequired, malformed or unauthorized.
 */
export async function readBinding(
  context: AcmeContext,
  payload: Readonly<Record<string, unknown>>,
  key: AccountKey,
  connection: Connection,
): Promise<object | null> {
  const { store, urls } = context
  const binding = payload['externalAccountBinding']
  if (binding === undefined) {
    const whose = await whoseNeedsBinding(context, connection)
    if (whose === null) return null
    throw new AcmeProblem(
      'externalAccountRequired',
      `A new account${whose} has to be bound to a key of this authority. To make one: ${context.eabCommand}`,
    )
  }
  if (!isObject(binding)) throw malformed('The externalAccountBinding is not a JWS.')
  const jws = readJws(binding)
  const { alg, kid, nonce, jwk } = jws.header
  if (alg !== 'HS256')
    throw new AcmeProblem('badSignatureAlgorithm', 'The externalAccountBinding has to use HS256.', {
      algorithms: ['HS256'],
    })
  if (typeof kid !== 'string' || jwk !== undefined)
    throw malformed('The externalAccountBinding names no key identifier (kid).')
  if (nonce !== undefined) throw malformed('The externalAccountBinding has a nonce.')
  checkUrl(jws, urls.newAccount)
  const known = store.get('eabKey', kid)
  if (known === undefined) throw unauthorized('The externalAccountBinding names an unknown key.')
  const { flattenedVerify } = await import('jose')
  let bound: unknown
  try {
    const secret = Buffer.from(known.key, 'base64url')
    const verified = await flattenedVerify(jws.flattened, secret, { algorithms: ['HS256'] })
    bound = parseBoundedJson(Buffer.from(verified.payload).toString())
  } catch {
    throw unauthorized('The externalAccountBinding was not made with the key that it names.')
  }
  const [inside, outside] = await Promise.all([
    thumbprintOf(readJwk(bound).jwk),
    thumbprintOf(key.jwk),
  ])
  if (inside !== outside) throw malformed('The externalAccountBinding binds another key.')
  // Returns the verified JWS alone: other members may be nested deeper than JSON can be written.
  return jws.flattened
}

/**
 * Returns whose accounts need a binding, if this one does, as words for a sentence; `null`: it needs
 * none. Another machine, or another user of this machine who got certificates for localhost could later listen on ports
 * that its owner's clients trust.
 */
async function whoseNeedsBinding(
  { options, owners }: AcmeContext,
  connection: Connection,
): Promise<string | null> {
  if (options.eabRequired) return ''
  if (!isThisMachine(connection.remoteAddress ?? '')) return ' from another machine'
  const whose = (await owners?.ofPeer(connection)) ?? 'ours'
  if (whose === 'foreign') return ' of another user of this machine'
  if (whose === 'ours') return null
  return ' of a user whom this machine does not name'
}
