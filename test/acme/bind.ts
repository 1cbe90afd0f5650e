import { FlattenedSign } from 'jose'
import type { CreatedEabKey } from '../../src/acme/eab-keys.ts'
import type { RawAnswer, RawClient } from './raw.ts'

/** Asks for an account that is bound to a key; a client that gets one goes on with it. */
export async function bindTo(
  client: RawClient,
  { kid, hmacKey }: CreatedEabKey,
): Promise<RawAnswer> {
  const url = client.to('newAccount')
  const binding = await new FlattenedSign(Buffer.from(JSON.stringify(client.key.jwk)))
    .setProtectedHeader({ alg: 'HS256', kid, url })
    .sign(Buffer.from(hmacKey, 'base64url'))
  const answer = await client.postWithKey(url, { externalAccountBinding: binding })
  if (answer.status <= 201) client.kid = answer.headers['location'] ?? ''
  return answer
}
