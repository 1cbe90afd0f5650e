import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startAcme, type Acme } from './harness.ts'
import { expectProblem } from './problem.ts'
import { createKey, RawClient } from './raw.ts'

let acme: Acme
let client: RawClient
beforeAll(async () => {
  acme = await startAcme()
  client = await new RawClient(acme.directory, acme.root).start()
})
afterAll(async () => {
  client.close()
  await acme.close()
})

const order = { identifiers: [{ type: 'dns', value: 'a.localhost' }] }
const newOrder = () => client.to('newOrder')

describe('the directory', () => {
  test('names every resource that works, and the profiles', async () => {
    const { status, body, headers } = await client.send('GET', acme.directory)
    const base = acme.directory.replace('/directory', '')
    expect(status).toBe(200)
    expect(headers['content-type']).toBe('application/json')
    expect(body).toEqual({
      newNonce: `${base}/new-nonce`,
      newAccount: `${base}/new-account`,
      newOrder: `${base}/new-order`,
      revokeCert: `${base}/revoke-cert`,
      keyChange: `${base}/key-change`,
      renewalInfo: `${base}/renewal-info`,
      meta: {
        externalAccountRequired: false,
        profiles: {
          default: 'A server certificate for 90 days',
          short: 'A server certificate for 7 days',
        },
      },
    })
  })

  test('is read by POST-as-GET too, as is a new nonce', async () => {
    expect((await client.post(acme.directory, null)).body.newOrder).toBe(newOrder())
    expect((await client.post(client.to('newNonce'), null)).status).toBe(204)
    expectProblem(await client.post(acme.directory, {}), 'malformed', 400)
  })
})

describe('nonces', () => {
  test('come with 200 for HEAD and 204 for GET, uncached', async () => {
    for (const [method, status] of [
      ['HEAD', 200],
      ['GET', 204],
    ] as const) {
      const answer = await client.send(method, client.to('newNonce'))
      expect(answer.status).toBe(status)
      expect(answer.headers['replay-nonce']).toMatch(/^[\w-]+$/)
      expect(answer.headers['cache-control']).toBe('no-store')
      expect(answer.headers['link']).toBe(`<${acme.directory}>;rel="index"`)
    }
  })

  test('are good once, and the refusal of a replay brings a fresh one that is good', async () => {
    const nonce = await client.nonce()
    expect((await client.post(newOrder(), order, { header: { nonce } })).status).toBe(201)
    const replayed = await client.post(newOrder(), order, { header: { nonce } })
    expectProblem(replayed, 'badNonce', 400)
    const fresh = replayed.headers['replay-nonce']
    const retried = await client.post(newOrder(), order, { header: { nonce: fresh } })
    expect(retried.status).toBe(201)
  })

  test('of others, none, and what is no base64url are refused', async () => {
    const known = await client.nonce()
    const forged = `${known.slice(0, -2)}${known.endsWith('AA') ? 'BB' : 'AA'}`
    for (const nonce of [forged, 'AAAA', known.repeat(3), undefined])
      expectProblem(await client.post(newOrder(), order, { header: { nonce } }), 'badNonce', 400)
    for (const nonce of ['', '=', 'a b', 17, null, {}])
      expectProblem(await client.post(newOrder(), order, { header: { nonce } }), 'malformed', 400)
  })

  test('are not used up by a request that somebody else made up', async () => {
    const nonce = await client.nonce()
    const forged = await client.post(newOrder(), order, { header: { nonce }, key: createKey() })
    expectProblem(forged, 'malformed', 400)
    expect((await client.post(newOrder(), order, { header: { nonce } })).status).toBe(201)
  })
})

describe('signatures', () => {
  test.each(['ES256', 'ES384', 'RS256', 'EdDSA'])('by %s open an account', async (alg) => {
    const other = await new RawClient(acme.directory, acme.root, createKey(alg)).start()
    expect((await other.order(['a.localhost'])).status).toBe(201)
    other.close()
  })

  test.each(['none', 'HS256', 'HS512', 'RS512', 'PS256', 'ES512', 'toString', ''])(
    'that claim to be %s are refused with the algorithms that are supported',
    async (alg) => {
      const answer = await client.post(newOrder(), order, { header: { alg } })
      expectProblem(answer, 'badSignatureAlgorithm', 400)
      expect(answer.body.algorithms).toEqual(['ES256', 'ES384', 'RS256', 'EdDSA'])
    },
  )

  test('by an algorithm of another kind of key are refused', async () => {
    const answer = await client.post(newOrder(), order, { header: { alg: 'RS256' } })
    expectProblem(answer, 'badSignatureAlgorithm', 400)
    expect(answer.body.algorithms).toEqual(['ES256'])
    expectProblem(await client.post(newOrder(), order, { header: { alg: 7 } }), 'malformed', 400)
  })

  test('that do not match are refused', async () => {
    const answer = await client.post(newOrder(), order, {
      body: (jws) => JSON.stringify({ ...jws, payload: Buffer.from('{}').toString('base64url') }),
    })
    expectProblem(answer, 'malformed', 400)
    const other = { key: createKey() }
    expectProblem(await client.post(newOrder(), order, other), 'malformed', 400)
  })

  test('by weak, private, unusual or broken keys are refused', async () => {
    const weak = createKey('RS256', 1024)
    const url = client.to('newAccount')
    expectProblem(await client.postWithKey(url, {}, { key: weak }), 'badPublicKey', 400)
    const { jwk } = client.key
    const unusual = createKey('ES512').jwk
    for (const key of [
      { ...jwk, d: 'AAAA' },
      { ...jwk, x: 'AAAA' },
      { ...jwk, crv: 'secp256k1' },
      { kty: 'oct', k: 'AAAA' },
      { kty: 'constructor' },
      { kty: 'RSA', n: 'AQAB', e: 'AQAB' },
      { kty: 'EC' },
      {},
      unusual,
    ]) {
      const answer = await client.postWithKey(url, {}, { header: { jwk: key } })
      if (key !== unusual) expectProblem(answer, 'badPublicKey', 400)
      else expectProblem(answer, 'badSignatureAlgorithm', 400)
    }
    for (const key of ['text', [], null])
      expectProblem(await client.postWithKey(url, {}, { header: { jwk: key } }), 'malformed', 400)
  })
})

describe('the protected header', () => {
  test('has to name the URL of the request', async () => {
    for (const url of [client.to('newAccount'), `${newOrder()}/`, 'https://other/acme/new-order'])
      expectProblem(await client.post(newOrder(), order, { header: { url } }), 'unauthorized', 403)
    const none = await client.post(newOrder(), order, { header: { url: undefined } })
    expectProblem(none, 'malformed', 400)
  })

  test('has exactly one of jwk and kid, and the one that the resource wants', async () => {
    const { jwk } = client.key
    const both = await client.post(newOrder(), order, { header: { jwk } })
    expectProblem(both, 'malformed', 400)
    const neither = await client.post(newOrder(), order, { header: { kid: undefined } })
    expectProblem(neither, 'malformed', 400)
    expectProblem(await client.postWithKey(newOrder(), order), 'malformed', 400)
    expectProblem(await client.post(client.to('newAccount'), {}), 'malformed', 400)
  })

  test('names an account that is there', async () => {
    const base = client.kid.replace(/[^/]+$/, '')
    for (const kid of [`${base}AAAA`, 'AAAA', '', `${client.kid}/`, `${base}__proto__`])
      expectProblem(
        await client.post(newOrder(), order, { header: { kid } }),
        'accountDoesNotExist',
        400,
      )
  })

  test('with an unencoded payload (b64) is refused, also an empty one', async () => {
    for (const b64 of [false, true])
      expectProblem(
        await client.post(client.kid, null, { header: { b64, crit: ['b64'] } }),
        'malformed',
        400,
      )
  })

  test('with critical extensions that nobody knows is refused', async () => {
    const header = { crit: ['other'], other: 1 }
    expectProblem(await client.post(newOrder(), order, { header }), 'malformed', 400)
  })
})

describe('bodies', () => {
  test.each([
    ['a compact serialization', (jws: Jws) => `${jws.protected}.${jws.payload}.${jws.signature}`],
    ['a compact serialization as JSON', (jws: Jws) => `"${jws.protected}.${jws.payload}.x"`],
    [
      'the general serialization',
      ({ payload, ...one }: Jws) => JSON.stringify({ payload, signatures: [one] }),
    ],
    ['an unprotected header', (jws: Jws) => JSON.stringify({ ...jws, header: { a: 1 } })],
    ['padding', (jws: Jws) => JSON.stringify({ ...jws, signature: `${jws.signature}==` })],
    ['the other base64', (jws: Jws) => JSON.stringify({ ...jws, payload: '+/+/' })],
    ['no payload', ({ payload: _payload, ...jws }: Jws) => JSON.stringify(jws)],
    ['no signature', ({ signature: _signature, ...jws }: Jws) => JSON.stringify(jws)],
    ['an empty signature', (jws: Jws) => JSON.stringify({ ...jws, signature: '' })],
    ['no protected header', ({ protected: _protected, ...jws }: Jws) => JSON.stringify(jws)],
    ['a header that is no JSON', (jws: Jws) => JSON.stringify({ ...jws, protected: 'AAAA' })],
    ['a header that is an array', (jws: Jws) => JSON.stringify({ ...jws, protected: 'W10' })],
    ['nothing', () => ''],
    ['half a JSON', () => '{"protected":'],
    ['an array', () => '[]'],
    ['null', () => 'null'],
    ['deep nesting', () => '['.repeat(50_000)],
    ['numbers', () => '{"protected":1,"payload":2,"signature":3}'],
  ])('with %s are malformed', async (_, body) => {
    expectProblem(await client.post(newOrder(), order, { body }), 'malformed', 400)
  })

  test.each(['no json', '[]', '"text"', '1', '{"a":', '\u0000'])(
    'with the signed payload %j are malformed',
    async (payload) => {
      expectProblem(await client.post(newOrder(), payload), 'malformed', 400)
    },
  )

  test('of other types are refused with 415', async () => {
    for (const contentType of ['application/json', 'text/plain', 'application/jose', ''])
      expectProblem(await client.post(newOrder(), order, { contentType }), 'malformed', 415)
    const charset = { contentType: 'application/jose+json; charset=utf-8' }
    expect((await client.post(newOrder(), order, charset)).status).toBe(201)
  })

  test('that are too long are refused with 413', async () => {
    const answer = await client.post(newOrder(), { ...order, more: 'x'.repeat(200_000) })
    expectProblem(answer, 'malformed', 413)
  })
})

describe('methods and paths', () => {
  test('are refused with what is allowed', async () => {
    const get = await client.send('GET', newOrder())
    expectProblem(get, 'malformed', 405)
    expect(get.headers['allow']).toBe('POST')
    const put = await client.send('PUT', acme.directory, '')
    expect([put.status, put.headers['allow']]).toEqual([405, 'GET, HEAD, POST'])
    expect((await client.send('GET', client.kid)).status).toBe(405)
  })

  test('that lead nowhere give 404', async () => {
    const base = acme.directory.replace('/directory', '')
    for (const path of ['/nothing', '/order', '/order/a/b', '/directory/', '/../x', '/__proto__'])
      expectProblem(await client.send('GET', base + path), 'malformed', 404)
    expectProblem(await client.send('GET', base.replace('/acme', '/')), 'malformed', 404)
    for (const path of [
      '/order/none',
      '/authorization/none',
      '/challenge/a/b',
      '/certificate/none',
    ])
      expectProblem(await client.post(base + path, null), 'malformed', 404)
    expectProblem(await client.post(`${base}/finalize/none`, {}), 'malformed', 404)
  })

  test('tell web pages nothing: no CORS, not even to a preflight', async () => {
    const origin = { Origin: 'https://example.com', 'Access-Control-Request-Method': 'POST' }
    for (const method of ['OPTIONS', 'GET']) {
      const { headers, status } = await client.send(method, acme.directory, undefined, origin)
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([])
      expect(status).toBe(403)
    }
    expect((await client.send('OPTIONS', acme.directory)).status).toBe(405)
  })

  test('for a host that is not ours give 421', async () => {
    const rebound = await client.send('GET', acme.directory, undefined, { Host: 'evil.example' })
    expectProblem(rebound, 'malformed', 421)
    const address = { Host: `127.0.0.1:${acme.port}` }
    expect((await client.send('GET', acme.directory, undefined, address)).status).toBe(200)
  })

  test('are the same over HTTP/2', async () => {
    const session = connectHttp2(`https://localhost:${acme.port}`, { ca: acme.root })
    const ask = async (method: string, path: string, body?: string) => {
      const type = 'application/jose+json'
      const stream = session.request({ ':method': method, ':path': path, 'content-type': type })
      stream.end(body)
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
      stream.resume()
      return headers
    }
    expect((await ask('HEAD', '/acme/new-nonce'))[':status']).toBe(200)
    const { 'replay-nonce': nonce } = await ask('GET', '/acme/new-nonce')
    const jws = client.sign(order, { url: newOrder(), nonce, kid: client.kid })
    const answer = await ask('POST', '/acme/new-order', JSON.stringify(jws))
    expect([answer[':status'], answer['link']]).toEqual([201, `<${acme.directory}>;rel="index"`])
    session.close()
  })

  test('survive whatever else comes in over the connection', async () => {
    const socket = connect({ port: acme.port, host: '127.0.0.1', ca: acme.root })
    socket.on('error', () => {})
    socket.write(
      'POST /acme/new-order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/jose+json\r\nContent-Length: 100\r\n\r\n{"half',
    )
    await new Promise((resolve) => setTimeout(resolve, 50))
    socket.destroy()
    expect((await client.order(['a.localhost'])).status).toBe(201)
  })
})

interface Jws {
  protected?: string
  payload: string
  signature: string
}
