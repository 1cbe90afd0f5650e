import { createHmac } from 'node:crypto'
import { onTestFinished, describe, expect, test } from 'vitest'
import { readJwk } from '../../src/acme/keys.ts'
import { startAcme } from './harness.ts'
import { expectProblem } from './problem.ts'
import { createKey, RawClient, type RawKey } from './raw.ts'

/** Other texts of the number in a member of a JWK. */
const spellings: readonly (readonly [string, (text: string) => string])[] = [
  ['a zero octet before it', (text) => padded(text, 1)],
  ['many zero octets before it', (text) => padded(text, 40_000)],
  ['padding', (text) => `${text}=`],
  ['white space', (text) => `${text}\n`],
]
const padded = (text: string, zeros: number): string =>
  Buffer.concat([Buffer.alloc(zeros), Buffer.from(text, 'base64url')]).toString('base64url')

/** A key that is written in another way, and signs as before. */
const rewritten = (key: RawKey, name: string, write: (text: string) => string): RawKey => ({
  ...key,
  jwk: { ...key.jwk, [name]: write(String((key.jwk as Record<string, unknown>)[name])) },
})

describe('a public key', () => {
  const keys = { ES256: createKey(), RS256: createKey('RS256'), EdDSA: createKey('EdDSA') }
  const members = [
    ['ES256', 'x'],
    ['ES256', 'y'],
    ['RS256', 'n'],
    ['RS256', 'e'],
    ['EdDSA', 'x'],
  ] as const
  test.each(
    members.flatMap((member) => spellings.map((spelling) => [...member, ...spelling] as const)),
  )('of %s whose %s has %s is refused', (alg, name, _, write) => {
    const key = keys[alg]
    expect(readJwk(key.jwk).jwk).toEqual(key.jwk)
    expect(() => readJwk(rewritten(key, name, write).jwk)).toThrow(
      expect.objectContaining({
        document: expect.objectContaining({ type: 'urn:ietf:params:acme:error:badPublicKey' }),
      }),
    )
  })

  test('is kept without members that do not belong to it', () => {
    const more = { kid: 'x'.repeat(10_000), alg: 'ES256', use: 'sig' }
    for (const { jwk } of Object.values(keys)) expect(readJwk({ ...jwk, ...more }).jwk).toEqual(jwk)
  })
})

describe('a key in another form', () => {
  const start = async () => {
    const acme = await startAcme()
    onTestFinished(() => acme.close())
    const client = await new RawClient(acme.directory, acme.root).start()
    onTestFinished(() => client.close())
    return { acme, client, other: rewritten(client.key, 'x', (text) => padded(text, 1)) }
  }

  test('opens no second account, not even after the first one was deactivated', async () => {
    const { client, other } = await start()
    const ask = () => client.postWithKey(client.to('newAccount'), {}, { key: other })
    expectProblem(await ask(), 'badPublicKey', 400)
    await client.post(client.kid, { status: 'deactivated' })
    expectProblem(await ask(), 'badPublicKey', 400)
  })

  test('is neither the new nor the old one of a change of key', async () => {
    const { acme, client, other } = await start()
    const holder = await new RawClient(acme.directory, acme.root).start()
    onTestFinished(() => holder.close())
    const url = client.to('keyChange')
    const change = (key: RawKey, oldKey: RawKey) => {
      const inner = { account: client.kid, oldKey: oldKey.jwk }
      return client.post(url, client.sign(inner, { url, jwk: key.jwk }, { key }))
    }
    const taken = rewritten(holder.key, 'x', (text) => padded(text, 1))
    expectProblem(await change(taken, client.key), 'badPublicKey', 400)
    expectProblem(await change(createKey(), other), 'badPublicKey', 400)
    expectProblem(await change(holder.key, client.key), 'malformed', 409)
  })

  test('revokes nothing, and is bound to no account', async () => {
    const { acme, client, other } = await start()
    const revoked = await client.postWithKey(client.to('revokeCert'), {}, { key: other })
    expectProblem(revoked, 'badPublicKey', 400)
    const { kid, hmacKey } = await acme.server.createEabKey()
    const key = createKey()
    const header = { alg: 'HS256', kid, url: client.to('newAccount') }
    const bind = ({ jwk }: RawKey) => {
      const [head, body] = [header, jwk].map((part) =>
        Buffer.from(JSON.stringify(part)).toString('base64url'),
      )
      const signature = createHmac('sha256', Buffer.from(hmacKey, 'base64url'))
        .update(`${head}.${body}`)
        .digest('base64url')
      const externalAccountBinding = { protected: head, payload: body, signature }
      return client.postWithKey(header.url, { externalAccountBinding }, { key })
    }
    const strange = rewritten(key, 'y', (text) => padded(text, 1))
    expectProblem(await bind(strange), 'badPublicKey', 400)
    expect((await bind(key)).status).toBe(201)
  })
})
