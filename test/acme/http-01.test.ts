import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { networkInterfaces } from 'node:os'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { resolveOptions } from '../../src/acme/options.ts'
import { AcmeProblem } from '../../src/acme/problems.ts'
import { createValidator } from '../../src/acme/validation/validator.ts'
import { issue } from '../../src/certificates/issue.ts'
import { freePort } from '../helpers/free-port.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { startChallenged, type Challenged } from './challenged.ts'
import { startDnsServer, type DnsServer } from './dns-server.ts'
import { startResponder, type Responder } from './responder.ts'

let world: Challenged
let dns: DnsServer
let web: Responder
/** Nobody listens there, unless a test does. */
let tlsPort: number
let answerWeb: RequestListener = () => undefined
beforeAll(async () => {
  dns = await startDnsServer()
  web = await startResponder((request, response) => answerWeb(request, response))
  tlsPort = await freePort()
  const dnsResolver = dns.address
  world = await startChallenged({ http01Port: web.port, tlsAlpn01Port: tlsPort, dnsResolver })
})
afterAll(async () => {
  await world.close()
  dns.close()
  await web.close()
})

describe('http-01', () => {
  test.each<[string, RequestListener, string, RegExp]>([
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
    [
      'endless headers',
      (request) =>
        void setInterval(() => request.socket.write(`X-More: ${'x'.repeat(999)}\r\n`), 1).unref(),
      'connection',
      /failed|in time/,
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
    const challenge = await world.challengeFor('e.localhost', 'http-01')
    answerWeb = answer
    await world.client.post(challenge.url, {})
    await expect.poll(challenge.status).toEqual(['invalid', 'invalid'])
    const { error } = (await world.client.post(challenge.url, null)).body
    expect(error.type).toBe(`urn:ietf:params:acme:error:${type}`)
    expect(error.detail).toMatch(detail)
  })

  test('follows a redirect on this machine', async () => {
    const challenge = await world.challengeFor('f.localhost', 'http-01')
    answerWeb = (request, response) => {
      if (request.url?.endsWith('/there')) response.end(challenge.keyAuthorization)
      else response.writeHead(302, { location: `http://127.0.0.1:${web.port}/there` }).end()
    }
    expect((await world.client.post(challenge.url, {})).body.status).toBe('valid')
  })

  test('follows a redirect to HTTPS, whatever certificate is there', async () => {
    const challenge = await world.challengeFor('f2.localhost', 'http-01')
    const request = { names: ['other.test'], selfSigned: true, files: null }
    const { chain, key } = await issue(await temporaryState(), request, new Date())
    const pair = { cert: chain, key: key ?? '' }
    const secure = createHttpsServer(pair, (_, response) => {
      response.end(challenge.keyAuthorization)
    })
    secure.listen(tlsPort, '127.0.0.1')
    await once(secure, 'listening')
    onTestFinished(async () => {
      secure.closeAllConnections()
      secure.close()
      await once(secure, 'close')
    })
    answerWeb = (request, response) => {
      const location = `https://f2.localhost:${tlsPort}${request.url}`
      response.writeHead(308, { location }).end()
    }
    expect((await world.client.post(challenge.url, {})).body.status).toBe('valid')
  })

  test('is met at ::1', async () => {
    const challenge = await world.challengeFor('::1', 'http-01')
    const six = await startResponder(undefined, web.port, '::1')
    onTestFinished(() => six.close())
    six.answers.set(challenge.token, challenge.keyAuthorization)
    expect((await world.client.post(challenge.url, {})).body.status).toBe('valid')
  })

  test('is met at an address of this machine, by name or address', async () => {
    dns.a.set('own.test', ownAddress() ?? '127.0.0.1')
    dns.a.set('looped.test', '127.0.0.1')
    for (const name of ['127.0.0.1', 'looped.test']) {
      const challenge = await world.challengeFor(name, 'http-01')
      answerWeb = (_, response) => void response.end(challenge.keyAuthorization)
      expect((await world.client.post(challenge.url, {})).body.status).toBe('valid')
    }
    const elsewhere = await world.challengeFor('own.test', 'http-01')
    const { body } = await world.client.post(elsewhere.url, {})
    // The web server listens on loopback alone: reached, then, and refused.
    if (ownAddress() !== null) expect(body.error.detail).toContain('nothing listens there')
  })

  test('is not asked at a remote address, which nobody connects to', async () => {
    dns.a.set('remote.test', '192.0.2.1')
    for (const name of ['remote.test', '10.255.255.1']) {
      const challenge = await world.challengeFor(name, 'http-01')
      const { body } = await world.client.post(challenge.url, {})
      expect(body.error.type).toBe('urn:ietf:params:acme:error:connection')
      expect(body.error.detail).toContain('--allow-remote')
    }
  })

  test('fails with dns for a name without an address', async () => {
    const challenge = await world.challengeFor('nowhere.invalid', 'http-01')
    await world.client.post(challenge.url, {})
    await expect.poll(challenge.status).toEqual(['invalid', 'invalid'])
    const { error } = (await world.client.post(challenge.url, null)).body
    expect(error.type).toMatch(/:(dns|connection)$/)
  })
})

describe('what a bound account, whose client may be of another machine, learns of servers here', () => {
  const validate = async (bound: boolean, answer: RequestListener) => {
    answerWeb = answer
    const options = resolveOptions({ http01Port: web.port, tlsAlpn01Port: tlsPort })
    const validator = createValidator(options, null)
    onTestFinished(() => validator.close())
    return validator.validate('id', {
      challenge: { type: 'http-01', token: 'token' },
      identifier: { type: 'dns', value: 'g.localhost' },
      thumbprint: 'thumbprint',
      bound,
    })
  }
  const detailOf = async (bound: boolean, answer: RequestListener): Promise<string> => {
    const error: unknown = await validate(bound, answer).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(AcmeProblem)
    return (error as AcmeProblem).document.detail
  }
  /** Redirects the challenge, and answers anything else. */
  const leadTo =
    (location: string, answer = 'SECRET'): RequestListener =>
    (request, response) => {
      if (request.url?.startsWith('/.well-known/') !== true) response.end(answer)
      else response.writeHead(302, { location }).end()
    }

  test('is no octet of a body, but its length', async () => {
    const answer: RequestListener = (_, response) => void response.end('SECRET')
    expect(await detailOf(true, answer)).toMatch(/answered 6 octets, not the key authorization\.$/)
    expect(await detailOf(false, answer)).toContain('"SECRET", not the key authorization')
  })

  test.each([true, false])(
    'is no body behind a redirect, nor is its path (bound: %s)',
    async (bound) => {
      const detail = await detailOf(bound, leadTo('/admin?token=HIDDEN'))
      expect(detail).toMatch(/answered 6 octets, not the key authorization\.$/)
      expect(detail).not.toContain('SECRET')
      expect(detail.includes('HIDDEN')).toBe(!bound)
    },
  )

  test('is nothing at another host than the one that is proved', async () => {
    for (const host of ['127.0.0.1', 'localhost', '[::1]', '192.168.0.1', '169.254.169.254']) {
      let asked = 0
      const location = `http://${host}:${web.port}/admin`
      const detail = await detailOf(true, (request, response) => {
        asked++
        leadTo(location)(request, response)
      })
      expect([asked, detail]).toEqual([1, expect.stringContaining('redirects to another host')])
      expect(detail).not.toContain('/admin')
    }
  })

  test('is no text of a Location that is not followed', async () => {
    const location = 'file:///etc/HIDDEN'
    expect(await detailOf(true, leadTo(location))).toMatch(/redirects to what is no URL/)
    expect(await detailOf(true, leadTo(location))).not.toContain('HIDDEN')
    expect(await detailOf(true, leadTo('http://g.localhost:22/HIDDEN'))).toMatch(/port 22/)
  })

  test('and a redirect on the same host is followed, as from HTTP to HTTPS by an ingress', async () => {
    const there = leadTo(`http://g.localhost:${web.port}/there`, 'token.thumbprint')
    await expect(validate(true, there)).resolves.toBeUndefined()
  })
})

/** Another IPv4 address of this machine than loopback; `null`: it has none. */
function ownAddress(): string | null {
  const rows = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
  return rows.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? null
}
