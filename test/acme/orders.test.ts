import { X509Certificate } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createAcmeAuthority } from '../../src/acme/acme-authority.ts'
import { readInventory } from '../../src/storage/files/record.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'
import { bitString, explicit, integer, sequence, set, utf8String } from '../../src/x509/asn1.ts'
import { subjectAltName } from '../../src/x509/extensions.ts'
import { signatureAlgorithmOf, signDer } from '../../src/x509/keys.ts'
import { oids } from '../../src/x509/oids.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { startAcme, type Acme } from './harness.ts'
import { expectProblem } from './problem.ts'
import { createKey, csrFor, RawClient, type RawAnswer } from './raw.ts'
import { authorize, obtain, startResponder, type Responder } from './responder.ts'
import { startWithClient } from './with-client.ts'

let acme: Acme
let responder: Responder
let client: RawClient
let close: () => Promise<void>
beforeAll(async () => {
  ;({ acme, responder, client, close } = await startWithClient())
})
afterAll(() => close())

describe('orders', () => {
  test('lead from names to a chain that ends at the root', async () => {
    const { chain } = await obtain(client, ['app.localhost', '127.0.0.1'], responder)
    const [leaf, intermediate] = chain
      .split(/(?=-----BEGIN)/)
      .map((pem) => new X509Certificate(pem))
    expect(leaf?.subjectAltName).toBe('DNS:app.localhost, IP Address:127.0.0.1')
    expect(intermediate !== undefined && leaf?.verify(intermediate.publicKey)).toBe(true)
    expect(intermediate?.verify(new X509Certificate(acme.root).publicKey)).toBe(true)
    expect(days(leaf)).toBe(90)
  })

  test('give certificates that have been valid for a while, also by a clock that is behind', async () => {
    for (const more of [{}, { profile: 'short' }, { notAfter: new Date(Date.now() + 864e5) }]) {
      const { chain } = await obtain(client, ['clock.localhost'], responder, more)
      expect(Date.parse(new X509Certificate(chain).validFrom)).toBeLessThan(Date.now() - 60_000)
    }
  })

  test('go from pending to ready to valid, each link where RFC 8555 has it', async () => {
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
    const repeated = await client.post(made.body.finalize, csr)
    expect([repeated.status, repeated.body]).toEqual([200, finalized.body])
    const other = { csr: csrFor(['steps.localhost']) }
    expectProblem(await client.post(made.body.finalize, other), 'orderNotReady', 403)
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

  test('are processing while the certificate is signed, with Retry-After in whole seconds', async () => {
    const state = await temporaryState()
    const real = createAcmeAuthority({ storage: fileStorage(state), now: () => new Date() })
    let sign = (): void => undefined
    const asked = new Promise<void>((resolve) => (sign = resolve))
    const authority: typeof real = {
      ...real,
      sign: async (request) => real.sign(await asked.then(() => request)),
    }
    const options = { http01Port: responder.port }
    const slow = await startAcme({ state, authority, options })
    const other = await new RawClient(slow.directory, slow.root).start()
    onTestFinished(async () => {
      other.close()
      await slow.close()
    })
    const made = await other.order(['slow.localhost'])
    await authorize(other, made, responder)
    const finalized = other.post(made.body.finalize, { csr: csrFor(['slow.localhost']) })
    const poll = () => other.post(made.headers['location'] ?? '', null)
    await expect.poll(async () => (await poll()).body.status).toBe('processing')
    expect((await poll()).headers['retry-after']).toBe('1')
    sign()
    expect((await finalized).body.status).toBe('valid')
    const done = await poll()
    expect([done.body.status, done.headers['retry-after']]).toEqual(['valid', undefined])
  })

  test('end with their authorizations, a week after they were made', async () => {
    let days = 0
    const options = { http01Port: responder.port }
    const now = () => new Date(Date.now() + days * 86_400_000)
    const later = await startAcme({ options, now })
    const other = await new RawClient(later.directory, later.root).start()
    const made = await other.order(['late.localhost'])
    const proven = await other.order(['proven.localhost'])
    await authorize(other, proven, responder)
    days = 8
    const statusOf = async (url: string) => (await other.post(url, null)).body.status
    expect(await statusOf(made.headers['location'] ?? '')).toBe('invalid')
    expect(await statusOf(made.body.authorizations[0])).toBe('expired')
    expect(await statusOf(proven.headers['location'] ?? '')).toBe('invalid')
    expect(await statusOf(proven.body.authorizations[0])).toBe('valid')
    const csr = { csr: csrFor(['proven.localhost']) }
    expectProblem(await other.post(proven.body.finalize, csr), 'orderNotReady', 403)
    const { body } = await other.post(other.kid, null)
    expect((await other.post(body.orders, null)).body.orders).toEqual([])
    other.close()
    await later.close()
  })

  test('are listed in pages, each with a link to the next', async () => {
    const many = await new RawClient(acme.directory, acme.root).start()
    const made: string[] = []
    for (let i = 0; i < 502; i++)
      made.push((await many.order(['many.localhost'])).headers['location'] ?? '')
    const first = await many.post((await many.post(many.kid, null)).body.orders, null)
    const next = /<([^>]+)>;rel="next"/.exec(first.headers['link'] ?? '')?.[1] ?? ''
    const second = await many.post(next, null)
    expect([...first.body.orders, ...second.body.orders]).toEqual(made.toReversed())
    expect(second.headers['link']).not.toContain('rel="next"')
    expect(second.body.orders).toHaveLength(2)
    expectProblem(await client.post(next, null), 'unauthorized', 403)
    many.close()
  })

  test('finalized twice at once give one certificate', async () => {
    const made = await client.order(['twice.localhost'])
    await authorize(client, made, responder)
    const csr = { csr: csrFor(['twice.localhost']) }
    const eight = Array.from({ length: 8 }, () => client.post(made.body.finalize, csr))
    const other = client.post(made.body.finalize, { csr: csrFor(['twice.localhost']) })
    const answers = await Promise.all(eight)
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
    expect([answers[0]?.status, answers[0]?.body.status]).toEqual([200, 'valid'])
    expectProblem(await other, 'orderNotReady', 403)
    const { certificates } = await readInventory(acme.state)
    const recorded = certificates.filter((one) =>
      one.identifiers.some(({ value }) => value === 'twice.localhost'),
    )
    expect(recorded).toHaveLength(1)
  })

  test('show each identifier once, in lower case and as RFC 5952 has addresses', async () => {
    const { body } = await client.order(['A.LocalHost', 'a.localhost', '0:0::1', '127.0.0.1'])
    expect(body.identifiers).toEqual([
      { type: 'dns', value: 'a.localhost' },
      { type: 'ip', value: '::1' },
      { type: 'ip', value: '127.0.0.1' },
    ])
    expect(body.authorizations).toHaveLength(3)
  })

  test('offer dns-01 alone for wildcards, and never for addresses', async () => {
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

  test('offer no challenge whose port is 0, and are refused where none is left', async () => {
    for (const [options, types] of [
      [{ http01Port: 0 }, ['tls-alpn-01']],
      [{ tlsAlpn01Port: 0 }, ['http-01']],
      [{ http01Port: 0, tlsAlpn01Port: 0 }, null],
    ] as const) {
      const other = await startAcme({ options })
      const asker = await new RawClient(other.directory, other.root).start()
      const answer = await asker.order(['app.localhost', '127.0.0.1'])
      if (types === null) {
        expectProblem(answer, 'rejectedIdentifier', 400)
        expect(answer.body.detail).toContain('--http01-port')
      } else {
        const { challenges } = (await asker.post(answer.body.authorizations[0], null)).body
        expect(challenges.map(({ type }: { type: string }) => type)).toEqual(types)
      }
      asker.close()
      await other.close()
    }
  })

  test('for wildcards are refused where no resolver was given', async () => {
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

describe('certification requests', () => {
  async function finalize(csr: unknown, names = ['csr.localhost', 'also.localhost']) {
    const made = await client.order(names)
    await authorize(client, made, responder)
    return client.post(made.body.finalize, { csr })
  }
  const names = ['csr.localhost', 'also.localhost']

  test.each<[string, () => string]>([
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

  test.each([
    ['b\u00fccher.localhost', 'xn--bcher-kva.localhost'],
    ['CSR.LocalHost', 'csr.localhost'],
    ['csr.localhost.', 'csr.localhost'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['::0001', '::1'],
  ])('may spell an ordered name in their own way as the common name: %s', async (common, name) => {
    if (name === '::1') {
      const listener: RequestListener = (request, response) =>
        response.end(responder.answers.get(request.url?.split('/').at(-1) ?? ''))
      const other = await startResponder(listener, responder.port, '::1')
      onTestFinished(() => other.close())
    }
    const answer = await finalize(csrWithCommonName(common, name), [name])
    expect(answer.body, answer.text).toMatchObject({ status: 'valid' })
  })

  test.each(['My server', 'other.localhost', '127.0.0.1', '::1', 'a@csr.localhost', '*.localhost'])(
    'with a common name that is not an ordered one are refused: %s',
    async (common) => {
      const csr = csrWithCommonName(common, 'csr.localhost')
      expectProblem(await finalize(csr, ['csr.localhost']), 'badCSR', 400)
    },
  )

  test('that are no base64url are malformed', async () => {
    for (const csr of ['=', 'a b', '', 7, null])
      expectProblem(await finalize(csr), 'malformed', 400)
  })

  test('by RSA and P-384 keys are signed too', async () => {
    for (const alg of ['RS256', 'ES384', 'EdDSA'])
      expect((await finalize(csrFor(names, createKey(alg)))).body.status).toBe('valid')
  })
})

/** A CSR as clients make it that copy into the common name what their user typed. */
function csrWithCommonName(common: string, name: string): string {
  const { privateKey, publicKey } = createKey()
  const algorithm = signatureAlgorithmOf(privateKey)
  if (algorithm === null) throw new Error('no algorithm for the key')
  const type = /:/.test(name) ? 'ip' : 'dns'
  const extensions = sequence(subjectAltName([{ type, value: name }], false))
  const subject = sequence(set(sequence(oids.commonName, utf8String(common))))
  const spki = publicKey.export({ format: 'der', type: 'spki' })
  const attributes = explicit(0, sequence(oids.extensionRequest, set(extensions)))
  const info = sequence(integer(0), subject, spki, attributes)
  const signature = bitString(signDer(info, algorithm, privateKey))
  return sequence(info, algorithm.identifier, signature).toString('base64url')
}

const days = (certificate: X509Certificate | undefined): number =>
  Math.round(
    (Date.parse(certificate?.validTo ?? '') - Date.parse(certificate?.validFrom ?? '')) /
      86_400_000,
  )
