import { afterAll, beforeAll, expect, test } from 'vitest'
import { startAcme, type Acme } from './harness.ts'
import { expectProblem } from './problem.ts'
import { createKey, RawClient } from './raw.ts'

const nested = (depth: number): string => `${'['.repeat(depth)}1${']'.repeat(depth)}`
const deep = nested(40_000)
/** Encoded twice it must still fit into a body. */
const inside = nested(20_000)

let acme: Acme
beforeAll(async () => {
  acme = await startAcme()
})
// It throws where the server had a fault of its own.
afterAll(() => acme.close())

async function open(): Promise<RawClient> {
  return new RawClient(acme.directory, acme.root).start()
}

test.each(['keyChange', 'newOrder', 'revokeCert', 'newAccount'])(
  'JSON that is 40,000 levels deep is malformed as the payload of %s',
  async (resource) => {
    const client = await open()
    const url = client.to(resource)
    for (const payload of [deep, `{"protected":${deep}}`, `{"identifiers":${deep}}`])
      expectProblem(await client.post(url, payload), 'malformed', 400)
  },
)

test('and as the payload of a new key’s JWS, as a header and as a body', async () => {
  const client = await open()
  const next = createKey()
  const url = client.to('keyChange')
  const inner = client.sign(`{"oldKey":${inside}}`, { url, jwk: next.jwk }, { key: next })
  expectProblem(await client.post(url, inner), 'malformed', 400)
  const body = (jws: object): string => `{"x":${deep},${JSON.stringify(jws).slice(1)}`
  expectProblem(await client.post(client.kid, null, { body }), 'malformed', 400)
  const protectedHeader = (jws: object): string =>
    JSON.stringify({ ...jws, protected: Buffer.from(`{"x":${inside}}`).toString('base64url') })
  expectProblem(await client.post(client.kid, null, { body: protectedHeader }), 'malformed', 400)
})

test('and the server goes on: the same client’s next request is answered', async () => {
  const client = await open()
  expect((await client.post(client.kid, null)).status).toBe(200)
})
