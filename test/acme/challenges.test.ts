import { createHash } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { resolveOptions } from '../../src/acme/options.ts'
import { createAddresses } from '../../src/acme/validation/addresses.ts'
import { createValidator } from '../../src/acme/validation/validator.ts'
import { startChallenged, type Challenged } from './challenged.ts'
import { startDnsServer, type DnsServer } from './dns-server.ts'
import { expectProblem } from './problem.ts'
import { csrFor, RawClient } from './raw.ts'
import { startResponder, type Responder } from './responder.ts'

let world: Challenged
let dns: DnsServer
let web: Responder
let answerWeb: RequestListener = () => undefined
beforeAll(async () => {
  dns = await startDnsServer()
  web = await startResponder((request, response) => answerWeb(request, response))
  world = await startChallenged({ http01Port: web.port, dnsResolver: dns.address })
})
afterAll(async () => {
  await world.close()
  dns.close()
  await web.close()
})

describe('a challenge', () => {
  test('that is met is answered as valid at once, and without Retry-After', async () => {
    const challenge = await world.challengeFor('a.localhost', 'http-01')
    answerWeb = (request, response) => {
      expect(request.headers.host).toBe(`a.localhost:${web.port}`)
      expect(request.url).toBe(`/.well-known/acme-challenge/${challenge.token}`)
      response.end(`${challenge.keyAuthorization}\n`)
    }
    const answer = await world.client.post(challenge.url, {})
    expect([answer.status, answer.body.status]).toEqual([200, 'valid'])
    expect(answer.headers['link']).toContain(`<${challenge.authorization}>;rel="up"`)
    expect(answer.headers['retry-after']).toBeUndefined()
    expect(await challenge.status()).toEqual(['valid', 'ready'])
    expect((await world.client.post(challenge.url, {})).body.status).toBe('valid')
    expect((await world.client.post(challenge.url, null)).body.status).toBe('valid')
  })

  test('that fails makes its authorization and order invalid, with the error', async () => {
    const challenge = await world.challengeFor('b.localhost', 'http-01')
    answerWeb = (_, response) => void response.end('something else')
    const answer = await world.client.post(challenge.url, {})
    expect(answer.body).toMatchObject({
      status: 'invalid',
      error: {
        type: 'urn:ietf:params:acme:error:incorrectResponse',
        detail: expect.stringContaining('"something else", not the key authorization'),
        identifier: { type: 'dns', value: 'b.localhost' },
      },
    })
    expect(await challenge.status()).toEqual(['invalid', 'invalid'])
    const again = await world.client.post(challenge.url, {})
    expect([again.status, again.body.status]).toEqual([200, 'invalid'])
    const finalize = await world.client.post(challenge.order.body.finalize, {
      csr: csrFor(['b.localhost']),
    })
    expectProblem(finalize, 'orderNotReady', 403)
  })

  test('that takes longer is processing, with Retry-After in whole seconds, and ends', async () => {
    const challenge = await world.challengeFor('slow.localhost', 'http-01')
    answerWeb = (_, response) => {
      setTimeout(() => response.end(challenge.keyAuthorization), 800)
    }
    const answer = await world.client.post(challenge.url, {})
    expect([answer.body.status, answer.headers['retry-after']]).toEqual(['processing', '1'])
    const polled = await world.client.post(challenge.authorization, null)
    expect([polled.body.status, polled.headers['retry-after']]).toEqual(['pending', '1'])
    expect((await world.client.post(challenge.url, {})).body.status).toMatch(/^(processing|valid)$/)
    await expect.poll(challenge.status).toEqual(['valid', 'ready'])
  })

  test('is not asked of anybody by POST-as-GET, nor for a stranger', async () => {
    const challenge = await world.challengeFor('c.localhost', 'http-01')
    let asked = 0
    answerWeb = (_, response) => void response.end(String(asked++))
    expect((await world.client.post(challenge.url, null)).body.status).toBe('pending')
    const stranger = await new RawClient(world.acme.directory, world.acme.root).start()
    expectProblem(await stranger.post(challenge.url, {}), 'unauthorized', 403)
    stranger.close()
    expect(asked).toBe(0)
  })

  test('is validated once by a nonce that is sent again and again, and later as ever', async () => {
    const challenge = await world.challengeFor('used.localhost', 'http-01')
    let asked = 0
    answerWeb = (_, response) => {
      asked++
      response.end(challenge.keyAuthorization)
    }
    const nonce = await world.client.nonce()
    await world.client.post(challenge.authorization, null, { header: { nonce } })
    for (let i = 0; i < 5; i++)
      expectProblem(
        await world.client.post(challenge.url, {}, { header: { nonce } }),
        'badNonce',
        400,
      )
    expect(asked).toBe(1)
    expect((await world.client.post(challenge.url, {})).body.status).toBe('valid')
    expect(await challenge.status()).toEqual(['valid', 'ready'])
  })

  test('cannot be answered once its authorization was deactivated', async () => {
    const challenge = await world.challengeFor('d.localhost', 'http-01')
    const ended = await world.client.post(challenge.authorization, { status: 'deactivated' })
    expect([ended.status, ended.body.status]).toEqual([200, 'deactivated'])
    expectProblem(await world.client.post(challenge.url, {}), 'malformed', 400)
    expect(await challenge.status()).toEqual(['deactivated', 'invalid'])
    expectProblem(
      await world.client.post(challenge.authorization, { status: 'valid' }),
      'malformed',
      400,
    )
  })
})

test('a challenge that was met counts no more once its authorization was deactivated', async () => {
  const challenge = await world.challengeFor('d2.localhost', 'http-01')
  answerWeb = (_, response) => void response.end(challenge.keyAuthorization)
  await world.client.post(challenge.url, {})
  expect(await challenge.status()).toEqual(['valid', 'ready'])
  await world.client.post(challenge.authorization, { status: 'deactivated' })
  expect(await challenge.status()).toEqual(['deactivated', 'invalid'])
  const csr = { csr: csrFor(['d2.localhost']) }
  const { finalize } = challenge.order.body
  expectProblem(await world.client.post(finalize, csr), 'orderNotReady', 403)
})

describe('dns-01', () => {
  const digestOf = (text: string) => createHash('sha256').update(text).digest('base64url')

  test('proves a wildcard by a TXT record of the name below it', async () => {
    const challenge = await world.challengeFor('*.wild.localhost', 'dns-01')
    const record = '_acme-challenge.wild.localhost'
    dns.txt.set(record, ['another', digestOf(challenge.keyAuthorization)])
    expect((await world.client.post(challenge.url, {})).body.status).toBe('valid')
    const csr = { csr: csrFor(['*.wild.localhost']) }
    const finalized = await world.client.post(challenge.order.body.finalize, csr)
    expect(finalized.body.status).toBe('valid')
  })

  test('needs a resolver that is one, and says so at the start', () => {
    for (const dnsResolver of ['localhost', '127.0.0.1:x', ''])
      expect(() => createValidator(resolveOptions({ dnsResolver }), null)).toThrow(
        expect.objectContaining({ code: 'usage' }),
      )
  })

  test('refuses another record, and none', async () => {
    const other = await world.challengeFor('h.localhost', 'dns-01')
    dns.txt.set('_acme-challenge.h.localhost', [digestOf('x')])
    const answer = await world.client.post(other.url, {})
    expect(answer.body.error.type).toBe('urn:ietf:params:acme:error:incorrectResponse')
    const none = await world.challengeFor('i.localhost', 'dns-01')
    const { body } = await world.client.post(none.url, {})
    expect(body.error.type).toBe('urn:ietf:params:acme:error:dns')
    expect(await none.status()).toEqual(['invalid', 'invalid'])
  })
})

test('goes to remote addresses only where that was allowed', async () => {
  const [open, closed] = [true, false].map((allowRemote) =>
    createAddresses(resolveOptions({ allowRemote })),
  )
  expect(await open?.of('192.0.2.1')).toEqual(['192.0.2.1'])
  await expect(closed?.of('192.0.2.1')).rejects.toThrow('--allow-remote')
  for (const local of ['127.9.9.9', '::1', '::ffff:127.0.0.1'])
    expect(await open?.of(local)).toHaveLength(1)
  expect(await closed?.of('::ffff:127.0.0.1')).toEqual(['127.0.0.1'])
  await expect(closed?.of('::ffff:192.0.2.1')).rejects.toThrow('is at 192.0.2.1, which is not')
  expect(await closed?.of('127.9.9.9')).toEqual(['127.9.9.9'])
})

test('finds localhost and all below it on this machine, whatever resolvers say (RFC 6761)', async () => {
  dns.a.set('a.b.localhost', '192.0.2.1')
  const addresses = createAddresses(resolveOptions({ dnsResolver: dns.address }))
  for (const name of ['localhost', 'a.b.localhost'])
    expect(await addresses.of(name)).toEqual(['127.0.0.1', '::1'])
  dns.a.set('a.b.test', '127.0.0.7')
  expect(await addresses.of('a.b.test')).toEqual(['127.0.0.7'])
})
