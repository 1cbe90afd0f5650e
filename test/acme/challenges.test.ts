import { createHash } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { networkInterfaces } from 'node:os'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resolveOptions } from '../../src/acme/options.ts'
import { createAddresses } from '../../src/acme/validation/addresses.ts'
import { createValidator } from '../../src/acme/validation/validator.ts'
import { startAlpnServer, type AlpnServer, type AlpnShows } from './alpn-server.ts'
import { startDnsServer, type DnsServer } from './dns-server.ts'
import { startAcme, type Acme } from './harness.ts'
import { expectProblem } from './problem.ts'
import { csrFor, RawClient, type RawAnswer } from './raw.ts'
import { keyAuthorization, startResponder, type Responder } from './responder.ts'

let acme: Acme
let client: RawClient
let dns: DnsServer
let alpn: AlpnServer
let web: Responder
let answerWeb: RequestListener = () => undefined
beforeAll(async () => {
  dns = await startDnsServer()
  alpn = await startAlpnServer()
  web = await startResponder((request, response) => answerWeb(request, response))
  acme = await startAcme({
    options: {
      http01Port: web.port,
      tlsAlpn01Port: alpn.port,
      dnsResolver: dns.address,
      validationMilliseconds: 2_000,
      answerMilliseconds: 400,
    },
  })
  client = await new RawClient(acme.directory, acme.root).start()
})
afterAll(async () => {
  client.close()
  await acme.close()
  dns.close()
  await Promise.all([alpn.close(), web.close()])
})

/** A new order for one name, and its challenge of a type. */
async function challengeFor(name: string, type: string, asker = client) {
  const order = await asker.order([name])
  const { body } = await asker.post(order.body.authorizations[0], null)
  const challenge = body.challenges.find((one: { type: string }) => one.type === type)
  return {
    order,
    authorization: order.body.authorizations[0] as string,
    url: challenge.url as string,
    token: challenge.token as string,
    keyAuthorization: await keyAuthorization(asker, challenge.token),
    status: async () => {
      const states = [order.body.authorizations[0], order.headers['location'] ?? '']
      const answers: RawAnswer[] = []
      for (const url of states) answers.push(await asker.post(url, null))
      return answers.map((answer) => answer.body.status)
    },
  }
}

describe('a challenge', () => {
  it('that is met is answered as valid at once, and without Retry-After', async () => {
    const challenge = await challengeFor('a.localhost', 'http-01')
    answerWeb = (request, response) => {
      expect(request.headers.host).toBe(`a.localhost:${web.port}`)
      expect(request.url).toBe(`/.well-known/acme-challenge/${challenge.token}`)
      response.end(`${challenge.keyAuthorization}\n`)
    }
    const answer = await client.post(challenge.url, {})
    expect([answer.status, answer.body.status]).toEqual([200, 'valid'])
    expect(answer.headers['link']).toContain(`<${challenge.authorization}>;rel="up"`)
    expect(answer.headers['retry-after']).toBeUndefined()
    expect(await challenge.status()).toEqual(['valid', 'ready'])
    expect((await client.post(challenge.url, {})).body.status).toBe('valid')
    expect((await client.post(challenge.url, null)).body.status).toBe('valid')
  })

  it('that fails makes its authorization and order invalid, with the error', async () => {
    const challenge = await challengeFor('b.localhost', 'http-01')
    answerWeb = (_, response) => void response.end('something else')
    const answer = await client.post(challenge.url, {})
    expect(answer.body).toMatchObject({
      status: 'invalid',
      error: {
        type: 'urn:ietf:params:acme:error:incorrectResponse',
        detail: expect.stringContaining('"something else", not the key authorization'),
        identifier: { type: 'dns', value: 'b.localhost' },
      },
    })
    expect(await challenge.status()).toEqual(['invalid', 'invalid'])
    const again = await client.post(challenge.url, {})
    expect([again.status, again.body.status]).toEqual([200, 'invalid'])
    const finalize = await client.post(challenge.order.body.finalize, {
      csr: csrFor(['b.localhost']),
    })
    expectProblem(finalize, 'orderNotReady', 403)
  })

  it('that takes longer is processing, with Retry-After in whole seconds, and ends', async () => {
    const challenge = await challengeFor('slow.localhost', 'http-01')
    answerWeb = (_, response) => {
      setTimeout(() => response.end(challenge.keyAuthorization), 800)
    }
    const answer = await client.post(challenge.url, {})
    expect([answer.body.status, answer.headers['retry-after']]).toEqual(['processing', '1'])
    const polled = await client.post(challenge.authorization, null)
    expect([polled.body.status, polled.headers['retry-after']]).toEqual(['pending', '1'])
    expect((await client.post(challenge.url, {})).body.status).toMatch(/^(processing|valid)$/)
    await expect.poll(challenge.status, { timeout: 3_000 }).toEqual(['valid', 'ready'])
  })

  it('is not asked of anybody by POST-as-GET, nor for a stranger', async () => {
    const challenge = await challengeFor('c.localhost', 'http-01')
    let asked = 0
    answerWeb = (_, response) => void response.end(String(asked++))
    expect((await client.post(challenge.url, null)).body.status).toBe('pending')
    const stranger = await new RawClient(acme.directory, acme.root).start()
    expectProblem(await stranger.post(challenge.url, {}), 'unauthorized', 403)
    stranger.close()
    expect(asked).toBe(0)
  })

  it('cannot be answered once its authorization was deactivated', async () => {
    const challenge = await challengeFor('d.localhost', 'http-01')
    const ended = await client.post(challenge.authorization, { status: 'deactivated' })
    expect([ended.status, ended.body.status]).toEqual([200, 'deactivated'])
    expectProblem(await client.post(challenge.url, {}), 'malformed', 400)
    expect(await challenge.status()).toEqual(['deactivated', 'invalid'])
    expectProblem(await client.post(challenge.authorization, { status: 'valid' }), 'malformed', 400)
  })
})

describe('http-01', () => {
  it.each<[string, RequestListener, string, RegExp]>([
    [
      '404',
      (_, response) => void response.writeHead(404).end(),
      'incorrectResponse',
      /404, not 200/,
    ],
    [
      'a long body',
      (_, response) => void response.end('x'.repeat(5_000)),
      'incorrectResponse',
      /1024/,
    ],
    [
      'an endless body',
      (_, response) => void setInterval(() => response.write('x'.repeat(99)), 5).unref(),
      'incorrectResponse',
      /1024/,
    ],
    ['a hang-up', (request) => void request.socket.destroy(), 'connection', /failed/],
    ['silence', () => undefined, 'connection', /too long|in time/],
    [
      'a half answer',
      (_, response) => void response.writeHead(200, { 'content-length': '99' }).write('x'),
      'connection',
      /too long|in time/,
    ],
    ['no HTTP', (request) => void request.socket.end('SSH-2.0-x\r\n'), 'connection', /failed/],
    [
      'a loop',
      (request, response) => void response.writeHead(302, { location: request.url }).end(),
      'incorrectResponse',
      /5 times/,
    ],
    [
      'a redirect to another port',
      (_, response) => void response.writeHead(301, { location: 'http://localhost:22/' }).end(),
      'incorrectResponse',
      /port 22/,
    ],
    [
      'a redirect to another scheme',
      (_, response) => void response.writeHead(301, { location: 'file:///etc/passwd' }).end(),
      'incorrectResponse',
      /redirects to "file/,
    ],
    [
      'a redirect to a remote address',
      (_, response) => void response.writeHead(307, { location: 'http://192.0.2.1/' }).end(),
      'connection',
      /--allow-remote/,
    ],
  ])('takes %s for a failure', async (_, answer, type, detail) => {
    const challenge = await challengeFor('e.localhost', 'http-01')
    answerWeb = answer
    await client.post(challenge.url, {})
    await expect.poll(challenge.status, { timeout: 4_000 }).toEqual(['invalid', 'invalid'])
    const { error } = (await client.post(challenge.url, null)).body
    expect(error.type).toBe(`urn:ietf:params:acme:error:${type}`)
    expect(error.detail).toMatch(detail)
  })

  it('follows a redirect on this machine', async () => {
    const challenge = await challengeFor('f.localhost', 'http-01')
    answerWeb = (request, response) => {
      if (request.url?.endsWith('/there')) response.end(challenge.keyAuthorization)
      else response.writeHead(302, { location: `http://127.0.0.1:${web.port}/there` }).end()
    }
    expect((await client.post(challenge.url, {})).body.status).toBe('valid')
  })

  it('is met at an address of this machine, by name or address', async () => {
    dns.a.set('own.test', ownAddress() ?? '127.0.0.1')
    dns.a.set('looped.test', '127.0.0.1')
    for (const name of ['127.0.0.1', 'looped.test']) {
      const challenge = await challengeFor(name, 'http-01')
      answerWeb = (_, response) => void response.end(challenge.keyAuthorization)
      expect((await client.post(challenge.url, {})).body.status).toBe('valid')
    }
    const elsewhere = await challengeFor('own.test', 'http-01')
    const { body } = await client.post(elsewhere.url, {})
    // The web server listens on loopback alone: reached, then, and refused.
    if (ownAddress() !== null) expect(body.error.detail).toContain('nothing listens there')
  })

  it('is not asked at a remote address, which nobody connects to', async () => {
    dns.a.set('remote.test', '192.0.2.1')
    for (const name of ['remote.test', '10.255.255.1']) {
      const challenge = await challengeFor(name, 'http-01')
      const { body } = await client.post(challenge.url, {})
      expect(body.error.type).toBe('urn:ietf:params:acme:error:connection')
      expect(body.error.detail).toContain('--allow-remote')
    }
  })

  it('fails with dns for a name without an address', async () => {
    const challenge = await challengeFor('nowhere.invalid', 'http-01')
    await client.post(challenge.url, {})
    await expect.poll(challenge.status, { timeout: 4_000 }).toEqual(['invalid', 'invalid'])
    const { error } = (await client.post(challenge.url, null)).body
    expect(error.type).toMatch(/:(dns|connection)$/)
  })
})

describe('tls-alpn-01', () => {
  async function attempt(name: string, change: Partial<AlpnShows>, asker = client) {
    const challenge = await challengeFor(name, 'tls-alpn-01', asker)
    const type = /^[\d.]+$/.test(name) ? ('ip' as const) : ('dns' as const)
    const { keyAuthorization } = challenge
    alpn.shows = { names: [{ type, value: name }], keyAuthorization, ...change }
    const { body } = await asker.post(challenge.url, {})
    return body
  }

  it('is met by the right certificate', async () => {
    expect((await attempt('alpn.localhost', {})).status).toBe('valid')
    expect(alpn.asked.at(-1)).toBe('alpn.localhost')
  })

  it('asks for an address by its name in the reverse tree', async () => {
    expect((await attempt('127.0.0.1', {})).status).toBe('valid')
    expect(alpn.asked.at(-1)).toBe('1.0.0.127.in-addr.arpa')
  })

  it.each<[string, Partial<AlpnShows>, string, RegExp]>([
    [
      'another key authorization',
      { keyAuthorization: 'x' },
      'incorrectResponse',
      /another key auth/,
    ],
    [
      'another name',
      { names: [{ type: 'dns', value: 'x.localhost' }] },
      'incorrectResponse',
      /is not for/,
    ],
    [
      'a further name',
      {
        names: [
          { type: 'dns', value: 'g.localhost' },
          { type: 'dns', value: 'x.localhost' },
        ],
      },
      'incorrectResponse',
      /exactly one/,
    ],
    ['an extension that is not critical', { critical: false }, 'incorrectResponse', /not critical/],
    ['no extension', { extension: null }, 'incorrectResponse', /no acmeIdentifier/],
    ['a broken extension', { extension: Buffer.of(4, 9, 9) }, 'incorrectResponse', /understood/],
    ['another protocol', { protocol: 'h2' }, 'tls', /./],
  ])('refuses %s', async (_, change, type, detail) => {
    const body = await attempt('g.localhost', change)
    expect(body.status).toBe('invalid')
    expect(body.error.type).toBe(`urn:ietf:params:acme:error:${type}`)
    expect(body.error.detail).toMatch(detail)
  })
})

describe('dns-01', () => {
  const digestOf = (text: string) => createHash('sha256').update(text).digest('base64url')

  it('proves a wildcard by a TXT record of the name below it', async () => {
    const challenge = await challengeFor('*.wild.localhost', 'dns-01')
    const record = '_acme-challenge.wild.localhost'
    dns.txt.set(record, ['another', digestOf(challenge.keyAuthorization)])
    expect((await client.post(challenge.url, {})).body.status).toBe('valid')
    const csr = { csr: csrFor(['*.wild.localhost']) }
    const finalized = await client.post(challenge.order.body.finalize, csr)
    expect(finalized.body.status).toBe('valid')
  })

  it('needs a resolver that is one, and says so at the start', () => {
    for (const dnsResolver of ['localhost', '127.0.0.1:x', ''])
      expect(() => createValidator(resolveOptions({ dnsResolver }))).toThrow(
        expect.objectContaining({ code: 'usage' }),
      )
  })

  it('refuses another record, and none', async () => {
    const other = await challengeFor('h.localhost', 'dns-01')
    dns.txt.set('_acme-challenge.h.localhost', [digestOf('x')])
    const answer = await client.post(other.url, {})
    expect(answer.body.error.type).toBe('urn:ietf:params:acme:error:incorrectResponse')
    const none = await challengeFor('i.localhost', 'dns-01')
    const { body } = await client.post(none.url, {})
    expect(body.error.type).toBe('urn:ietf:params:acme:error:dns')
    expect(await none.status()).toEqual(['invalid', 'invalid'])
  })
})

it('goes to remote addresses only where that was allowed', async () => {
  const [open, closed] = [true, false].map((allowRemote) =>
    createAddresses(resolveOptions({ allowRemote })),
  )
  expect(await open?.of('192.0.2.1')).toEqual(['192.0.2.1'])
  await expect(closed?.of('192.0.2.1')).rejects.toThrow('--allow-remote')
  for (const local of ['127.9.9.9', '::1', '::ffff:127.0.0.1'])
    expect(await open?.of(local)).toHaveLength(1)
  expect(await closed?.of('127.9.9.9')).toEqual(['127.9.9.9'])
  expect(await closed?.of('a.b.localhost')).toEqual(['127.0.0.1', '::1'])
})

/** Another IPv4 address of this machine than loopback; `null`: it has none. */
function ownAddress(): string | null {
  const rows = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
  return rows.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? null
}
