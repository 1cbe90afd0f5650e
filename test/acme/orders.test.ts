import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { permitScope } from '../../src/scopes.ts'
import { startAcme, type Acme } from './harness.ts'
import { expectProblem } from './problem.ts'
import { createKey, csrFor, RawClient, type RawAnswer } from './raw.ts'
import { authorize, obtain, startResponder, type Responder } from './responder.ts'

let acme: Acme
let responder: Responder
let client: RawClient
beforeAll(async () => {
  responder = await startResponder()
  acme = await startAcme({ options: { http01Port: responder.port, dnsResolver: '127.0.0.1:1' } })
  client = await new RawClient(acme.directory, acme.root).start()
})
afterAll(async () => {
  client.close()
  await acme.close()
  await responder.close()
})

describe('orders', () => {
  it('lead from names to a chain that ends at the root', async () => {
    const { chain } = await obtain(client, ['app.localhost', '127.0.0.1'], responder)
    const [leaf, intermediate] = chain
      .split(/(?=-----BEGIN)/)
      .map((pem) => new X509Certificate(pem))
    expect(leaf?.subjectAltName).toBe('DNS:app.localhost, IP Address:127.0.0.1')
    expect(intermediate !== undefined && leaf?.verify(intermediate.publicKey)).toBe(true)
    expect(intermediate?.verify(new X509Certificate(acme.root).publicKey)).toBe(true)
    expect(Date.parse(leaf?.validFrom ?? '')).toBeLessThan(Date.now() - 60_000)
    expect(days(leaf)).toBe(90)
  })

  it('go from pending to ready to valid, each link where RFC 8555 has it', async () => {
    const made = await client.order(['steps.localhost'])
    expect([made.status, made.body.status]).toEqual([201, 'pending'])
    const location = made.headers['location'] ?? ''
    expect(made.body.expires).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    const early = await client.post(made.body.finalize, { csr: csrFor(['steps.localhost']) })
    expectProblem(early, 'orderNotReady', 403)
    await authorize(client, made, responder)
    expect((await client.post(location, null)).body.status).toBe('ready')
    const authorization = await client.post(made.body.authorizations[0], null)
    expect(authorization.body.status).toBe('valid')
    expect(authorization.body.challenges).toHaveLength(1)
    expect(authorization.body.challenges[0].validated).toMatch(/Z$/)
    const csr = { csr: csrFor(['steps.localhost']) }
    const finalized = await client.post(made.body.finalize, csr)
    expect([finalized.status, finalized.body.status]).toEqual([200, 'valid'])
    expect(finalized.headers['location']).toBe(location)
    expectProblem(await client.post(made.body.finalize, csr), 'orderNotReady', 403)
    expect((await client.post(location, null)).body.certificate).toBe(finalized.body.certificate)

    const downloaded = await client.post(finalized.body.certificate, null)
    expect(downloaded.headers['content-type']).toBe('application/pem-certificate-chain')
    const up = /<([^>]+)>;rel="up"/.exec(downloaded.headers['link'] ?? '')?.[1]
    const issuer = await client.send('GET', up ?? '')
    expect([issuer.status, issuer.headers['content-type']]).toEqual([200, 'application/pkix-cert'])
    const posted = await client.post(up ?? '', null)
    expect(posted.headers['content-type']).toBe('application/pem-certificate-chain')
    expect(downloaded.text.endsWith(posted.text)).toBe(true)
    expectProblem(await client.post(finalized.body.certificate, {}), 'malformed', 400)
    expectProblem(await client.post(up ?? '', {}), 'malformed', 400)
    const stranger = await new RawClient(acme.directory, acme.root).start()
    expectProblem(await stranger.post(finalized.body.certificate, null), 'unauthorized', 403)
    stranger.close()
  })

  it('finalized twice at once give one certificate', async () => {
    const made = await client.order(['twice.localhost'])
    await authorize(client, made, responder)
    const csr = { csr: csrFor(['twice.localhost']) }
    const answers = await Promise.all([1, 2, 3].map(() => client.post(made.body.finalize, csr)))
    expect(answers.map(({ status }) => `${status}`).toSorted()).toEqual(['200', '403', '403'])
  })

  it('show each identifier once, in lower case and as RFC 5952 has addresses', async () => {
    const { body } = await client.order(['A.LocalHost', 'a.localhost', '0:0::1', '127.0.0.1'])
    expect(body.identifiers).toEqual([
      { type: 'dns', value: 'a.localhost' },
      { type: 'ip', value: '::1' },
      { type: 'ip', value: '127.0.0.1' },
    ])
    expect(body.authorizations).toHaveLength(3)
  })

  it('offer dns-01 alone for wildcards, and never for addresses', async () => {
    const { body } = await client.order(['*.app.localhost', '127.0.0.1', 'b.localhost'])
    const offers = await Promise.all(
      body.authorizations.map((url: string) => client.post(url, null)),
    )
    const types = ({ body }: RawAnswer) =>
      body.challenges.map(({ type, token }: Record<string, string>) => {
        expect(token).toMatch(/^[\w-]{22,}$/)
        return type
      })
    expect(offers.map(types)).toEqual([
      ['dns-01'],
      ['http-01', 'tls-alpn-01'],
      ['http-01', 'tls-alpn-01', 'dns-01'],
    ])
    expect(offers[0].body).toMatchObject({
      identifier: { type: 'dns', value: 'app.localhost' },
      wildcard: true,
    })
    expect(offers[2].body.wildcard).toBeUndefined()
  })

  it('for wildcards are refused where no resolver was given', async () => {
    const other = await startAcme()
    const stranger = await new RawClient(other.directory, other.root).start()
    const answer = await stranger.order(['*.app.localhost'])
    expectProblem(answer, 'rejectedIdentifier', 400)
    expect(answer.body.detail).toContain('--dns-resolver')
    const plain = await stranger.order(['app.localhost'])
    const { body } = await stranger.post(plain.body.authorizations[0], null)
    expect(body.challenges).toHaveLength(2)
    stranger.close()
    await other.close()
  })
})

describe('identifiers that are refused', () => {
  it.each([
    ['an empty name', '', 'malformed'],
    ['two dots', 'a..localhost', 'malformed'],
    ['a dot first', '.localhost', 'malformed'],
    ['a dot last', 'a.localhost.', 'malformed'],
    ['a URL', 'https://a.localhost', 'malformed'],
    ['a path', 'a.localhost/x', 'malformed'],
    ['a port', 'a.localhost:443', 'malformed'],
    ['an inner wildcard', 'a.*.localhost', 'malformed'],
    ['a double wildcard', '*.*.localhost', 'malformed'],
    ['a partial wildcard', 'a*.localhost', 'malformed'],
    ['a lone wildcard', '*', 'malformed'],
    ['a label of 64', `${'a'.repeat(64)}.localhost`, 'malformed'],
    ['254 characters', `${'a.'.repeat(123)}localhost`, 'malformed'],
    ['a control character', 'a\u0000.localhost', 'malformed'],
    ['a space', 'a b.localhost', 'malformed'],
    ['a line break', 'a.localhost\n', 'malformed'],
    ['a U-label', 'b\u00fccher.localhost', 'malformed'],
    ['a mailbox', 'me@localhost', 'malformed'],
    ['a hyphen first', '-a.localhost', 'malformed'],
    ['an address as dns', { type: 'dns', value: '127.0.0.1' }, 'malformed'],
    ['an IPv6 address as dns', { type: 'dns', value: '::1' }, 'malformed'],
    ['a name as ip', { type: 'ip', value: 'localhost' }, 'malformed'],
    ['a range as ip', { type: 'ip', value: '10.0.0.0/8' }, 'malformed'],
    ['a zone', { type: 'ip', value: 'fe80::1%eth0' }, 'malformed'],
    ['another type', { type: 'email', value: 'me@localhost' }, 'unsupportedIdentifier'],
    ['a bare wildcard among others', ['*.localhost', 'a.localhost'], 'rejectedIdentifier'],
    ['a name of the internet', 'www.example.com', 'rejectedIdentifier'],
    ['an address of the internet', '8.8.8.8', 'rejectedIdentifier'],
  ])('%s: %j', async (_, asked, type) => {
    const identifiers = [asked]
      .flat()
      .map((one) => (typeof one === 'string' ? identifier(one) : one))
    const answer = await client.post(client.to('newOrder'), { identifiers })
    expectProblem(answer, type, 400)
  })

  const identifier = (value: string) => ({
    type: /^[\d.]+$/.test(value) ? 'ip' : 'dns',
    value,
  })

  it.each([
    {},
    { identifiers: [] },
    { identifiers: {} },
    { identifiers: ['a.localhost'] },
    { identifiers: [{ type: 'dns' }] },
    { identifiers: [{ type: 'dns', value: 1 }] },
    { identifiers: [null] },
    { identifiers: Array.from({ length: 101 }, (_, i) => identifier(`a${i}.localhost`)) },
    { identifiers: [identifier('a.localhost')], notAfter: 'tomorrow' },
    { identifiers: [identifier('a.localhost')], notAfter: '2001-01-01T00:00:00Z' },
    { identifiers: [identifier('a.localhost')], notAfter: '2999-01-01T00:00:00Z' },
    { identifiers: [identifier('a.localhost')], notBefore: '2999-01-01T00:00:00Z' },
    { identifiers: [identifier('a.localhost')], notBefore: '2001-01-01T00:00:00Z' },
    { identifiers: [identifier('a.localhost')], profile: 7 },
    { identifiers: [identifier('a.localhost')], replaces: 'no certID' },
    { identifiers: [identifier('a.localhost')], replaces: 'AAAA.AAAA' },
  ])('as malformed: %j', async (payload) => {
    expectProblem(await client.post(client.to('newOrder'), payload), 'malformed', 400)
  })

  it('for what they are, each in a subproblem with the command that permits it', async () => {
    const answer = await client.order(['ok.localhost', 'dev.example.com', '8.8.8.8'])
    expectProblem(answer, 'rejectedIdentifier', 400)
    expect(answer.body.subproblems).toMatchObject([
      {
        type: 'urn:ietf:params:acme:error:rejectedIdentifier',
        identifier: { type: 'dns', value: 'dev.example.com' },
        detail: expect.stringContaining('rootling ca permit dev.example.com'),
      },
      { identifier: { type: 'ip', value: '8.8.8.8' } },
    ])
    const mixed = await client.order(['a..localhost', 'b.localhost'])
    expect(mixed.body.subproblems[0].identifier.value).toBe('a..localhost')
    const address = await client.post(client.to('newOrder'), {
      identifiers: [{ type: 'dns', value: '10.0.0.1' }],
    })
    expect(address.body.detail).toContain('type ip (RFC 8738)')
  })

  it('until they are permitted', async () => {
    expectProblem(await client.order(['x.dev.example.net']), 'rejectedIdentifier', 400)
    await permitScope(acme.state, { permit: ['dev.example.net'] }, new Date())
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    expect((await client.order(['x.dev.example.net'])).status).toBe(201)
  })

  it('unless a profile of the name exists', async () => {
    expectProblem(await client.order(['a.localhost'], { profile: 'gold' }), 'invalidProfile', 400)
    const { chain } = await obtain(client, ['a.localhost'], responder, { profile: 'short' })
    expect(days(new X509Certificate(chain))).toBe(7)
  })
})

describe('dates that are asked for', () => {
  it('are those of the certificate', async () => {
    const at = Math.floor(Date.now() / 1000) * 1000
    const iso = (ms: number) => new Date(ms).toISOString().replace('.000Z', 'Z')
    const dates = { notBefore: iso(at - 7_200_000), notAfter: iso(at + 3 * 86_400_000 + 1_000) }
    const made = await client.order(['dates.localhost'], dates)
    expect(made.body).toMatchObject(dates)
    for (const [asked, from, to] of [
      [dates, dates.notBefore, dates.notAfter],
      [{ notAfter: dates.notAfter }, null, dates.notAfter],
      [
        { notBefore: dates.notBefore },
        dates.notBefore,
        iso(at - 7_200_000 + 90 * 86_400_000 - 1_000),
      ],
    ] as const) {
      const { chain } = await obtain(client, ['dates.localhost'], responder, asked)
      const { validFrom, validTo } = new X509Certificate(chain)
      if (from !== null) expect(iso(Date.parse(validFrom))).toBe(from)
      expect(iso(Date.parse(validTo))).toBe(to)
    }
  })
})

describe('certification requests', () => {
  async function finalize(csr: unknown, names = ['csr.localhost', 'also.localhost']) {
    const made = await client.order(names)
    await authorize(client, made, responder)
    return client.post(made.body.finalize, { csr })
  }
  const names = ['csr.localhost', 'also.localhost']

  it.each<[string, () => string]>([
    ['with a further name', () => csrFor([...names, 'more.localhost'])],
    ['with a name left out', () => csrFor(['csr.localhost'])],
    ['with another name', () => csrFor(['other.localhost', 'also.localhost'])],
    ['by the key of the account', () => csrFor(names, client.key)],
    ['by a weak key', () => csrFor(names, createKey('RS256', 1024))],
    ['that is no DER', () => 'AAAA'],
    ['that is cut off', () => csrFor(names).slice(0, 100)],
    ['that is PEM', () => Buffer.from('-----BEGIN CERTIFICATE REQUEST-----').toString('base64url')],
    [
      'with a broken signature',
      () => {
        const der = Buffer.from(csrFor(names), 'base64url')
        der[der.length - 1] = (der.at(-1) ?? 0) ^ 1
        return der.toString('base64url')
      },
    ],
  ])('%s are refused, and the order stays ready', async (_, csr) => {
    const made = await client.order(names)
    await authorize(client, made, responder)
    expectProblem(await client.post(made.body.finalize, { csr: csr() }), 'badCSR', 400)
    expect((await client.post(made.headers['location'] ?? '', null)).body.status).toBe('ready')
    const right = await client.post(made.body.finalize, { csr: csrFor(names) })
    expect(right.body.status).toBe('valid')
  })

  it('that are no base64url are malformed', async () => {
    for (const csr of ['=', 'a b', '', 7, null])
      expectProblem(await finalize(csr), 'malformed', 400)
  })

  it('by RSA and P-384 keys are signed too', async () => {
    for (const alg of ['RS256', 'ES384', 'EdDSA'])
      expect((await finalize(csrFor(names, createKey(alg)))).body.status).toBe('valid')
  })
})

const days = (certificate: X509Certificate | undefined): number =>
  Math.round(
    (Date.parse(certificate?.validTo ?? '') - Date.parse(certificate?.validFrom ?? '')) /
      86_400_000,
  )
