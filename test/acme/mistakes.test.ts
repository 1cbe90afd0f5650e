import {
  anything,
  asyncProperty,
  assert,
  constantFrom,
  dictionary,
  oneof,
  record,
  string,
} from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { long } from '../helpers/long.ts'
import { startAcme, type Acme } from './harness.ts'
import { createKey, csrFor, RawClient, type RawAnswer } from './raw.ts'
import { obtain, startResponder, type Responder } from './responder.ts'

// Some clients send the same request again after a 5xx, and die of the badNonce that follows. The
// long form: ROOTLING_LONG_TESTS=1.
const runs = long ? 5_000 : 150
vi.setConfig({ testTimeout: 120_000 + 1_000 * runs })
let acme: Acme
let responder: Responder
let client: RawClient
let urls: string[]
beforeAll(async () => {
  responder = await startResponder()
  acme = await startAcme({ options: { http01Port: responder.port } })
  client = await new RawClient(acme.directory, acme.root).start()
  const { order, certificate } = await obtain(client, ['done.localhost'], responder)
  const { headers, body } = await client.order(['open.localhost'])
  const [authorization] = body.authorizations
  const { challenges } = (await client.post(authorization, null)).body
  const { orders } = (await client.post(client.kid, null)).body
  const made = [headers['location'] ?? '', body.finalize, authorization, challenges[1].url]
  urls = [...made, order, certificate, orders, ...resources.map((name) => client.to(name))]
})
const resources = ['newNonce', 'newAccount', 'newOrder', 'revokeCert', 'keyChange', 'renewalInfo']
afterAll(async () => {
  client.close()
  // Throws where the server took any of these for its own fault.
  await acme.close()
  await responder.close()
})

/** A refusal that a client can read, and go on from. */
function expectAnswer(answer: RawAnswer): void {
  expect(answer.status, answer.text).toBeLessThan(500)
  expect(answer.headers['replay-nonce']).toMatch(/^[\w-]{20,}$/)
  if (answer.status < 400) return
  expect(answer.headers['content-type']).toBe('application/problem+json')
  expect(answer.body.type).toMatch(/^urn:ietf:params:acme:error:[a-zA-Z]+$/)
  expect(answer.body.status).toBe(answer.status)
  const seconds = answer.headers['retry-after']
  if (seconds !== undefined) expect(seconds).toMatch(/^\d+$/)
}

/** What resources know, but for the status that ends an account; with anything in it. */
const members = [
  ...['identifiers', 'profile', 'replaces', 'notBefore', 'notAfter', 'contact', 'csr'],
  ...['certificate', 'reason', 'account', 'oldKey', 'externalAccountBinding', 'protected'],
  ...['payload', 'signature', 'termsOfServiceAgreed', 'onlyReturnExisting', '__proto__'],
]
const likely = oneof(
  anything({ withNullPrototype: false }),
  constantFrom<unknown>(
    '',
    'AAAA',
    [{ type: 'dns', value: 'a.localhost' }],
    [{}],
    [null],
    -1,
    1e300,
  ),
  dictionary(constantFrom('type', 'value', 'kty', 'crv', 'x', 'y', 'n', 'e', 'alg'), anything()),
)
const payloads = dictionary(constantFrom(...members), likely)
const encoded = (payload: unknown): string =>
  JSON.stringify(payload, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value))

describe('no mistake of a client is answered with 5xx, and every answer brings a nonce:', () => {
  test('whatever the payload is', async () => {
    const url = constantFrom(...urls.keys())
    const property = asyncProperty(url, payloads, async (index, payload) => {
      expectAnswer(await client.post(urls[index] ?? '', encoded(payload)))
      expectAnswer(await client.postWithKey(urls[index] ?? '', JSON.parse(encoded(payload))))
    })
    await expect(assert(property, { numRuns: runs })).resolves.toBeUndefined()
  })

  test('whatever the protected header is', async () => {
    const header = dictionary(
      constantFrom('alg', 'kid', 'jwk', 'url', 'nonce', 'crit', 'b64'),
      likely,
    )
    const url = constantFrom(...urls.keys())
    const property = asyncProperty(url, header, async (index, deviation) => {
      const plain = JSON.parse(encoded(deviation)) as Record<string, unknown>
      expectAnswer(await client.post(urls[index] ?? '', {}, { header: plain }))
    })
    await expect(assert(property, { numRuns: runs })).resolves.toBeUndefined()
  })

  test('whatever the body, the content type, the method and the path are', async () => {
    const method = constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH')
    const path = oneof(string({ unit: 'grapheme-ascii' }), constantFrom(...routes))
    const shape = record({ method, path, body: string(), type: constantFrom(...types) })
    const property = asyncProperty(shape, async ({ method: verb, path: asked, body, type }) => {
      const base = acme.directory.replace('directory', '')
      const url = base + encodeURIComponent(asked).replaceAll('%2F', '/')
      const sent = verb === 'GET' || verb === 'HEAD' ? undefined : body
      const answer = await client.send(verb, url, sent, { 'Content-Type': type })
      if (verb === 'HEAD') expect(answer.status).toBeLessThan(500)
      else expectAnswer(answer)
    })
    await expect(assert(property, { numRuns: runs })).resolves.toBeUndefined()
  })

  test('whatever the bytes of a request for a certificate are', async () => {
    const { body } = await client.order(['csr.localhost'])
    const { challenges } = (await client.post(body.authorizations[0], null)).body
    expect(challenges).toHaveLength(2)
    const made = await client.order(['done.localhost'])
    const good = Buffer.from(csrFor(['done.localhost'], createKey()), 'base64url')
    for (let at = 0; at < good.length; at += 3) {
      const bad = Buffer.from(good)
      bad[at] = (bad[at] ?? 0) ^ 0x81
      for (const der of [bad, good.subarray(0, at), Buffer.concat([good, bad.subarray(0, at)])])
        expectAnswer(await client.post(made.body.finalize, { csr: der.toString('base64url') }))
    }
  })
})
const routes = ['directory', 'order/x', 'issuer/x', 'renewal-info/a.b', 'orders/x/y', 'account/x']
const types = ['application/jose+json', 'application/json', 'text/plain', 'x']
