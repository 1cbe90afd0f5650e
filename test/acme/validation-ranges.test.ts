import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { resolveOptions } from '../../src/acme/options.ts'
import { createAddresses } from '../../src/acme/validation/addresses.ts'
import { createValidator } from '../../src/acme/validation/validator.ts'
import { startAlpnServer } from './alpn-server.ts'
import { startChallenged } from './challenged.ts'
import { startDnsServer, type DnsServer } from './dns-server.ts'
import { startResponder } from './responder.ts'

const problem = (type: string, sentence: string) =>
  expect.objectContaining({
    document: expect.objectContaining({ type: `urn:ietf:params:acme:error:${type}` }),
    message: expect.stringContaining(sentence),
  })

describe('ranges for validation', () => {
  const addresses = (deny: readonly string[], allow: readonly string[], dnsResolver?: string) =>
    createAddresses(resolveOptions({ allowRemote: true, dnsResolver, validation: { deny, allow } }))

  test.each([
    '169.254.169.254',
    '169.254.0.1',
    '::ffff:169.254.169.254',
    'fd00:ec2::254',
    'fe80::1',
    '127.0.0.1',
    '127.9.9.9',
    '::1',
    '::ffff:7f00:1',
    '0.0.0.0',
    '::',
    '224.0.0.1',
    'ff02::1',
    '255.255.255.255',
    'localhost',
    'a.localhost',
    // Of 169.254.169.254, 127.0.0.1 and 10.9.9.9 in NAT64 and 6to4.
    '64:ff9b::a9fe:a9fe',
    '2002:7f00:1::',
    '64:ff9b::a09:909',
    '10.9.9.9',
    'fd12::5',
  ])('keep validation from %s', async (host) => {
    const { of } = addresses(['10.9.9.9', 'fd12::/16'], ['10.9.9.8'])
    await expect(of(host)).rejects.toEqual(problem('connection', 'this server validates nothing'))
  })

  test('let it go elsewhere, and to what is allowed by name', async () => {
    const { of } = addresses(['10.0.0.0/8'], ['127.0.0.2', '10.1.0.0/16', '169.254.1.0/24'])
    for (const host of ['192.168.1.1', '2001:db8::1', '127.0.0.2', '10.1.2.3', '169.254.1.1'])
      expect(await of(host)).toEqual([host])
    await expect(of('127.0.0.3')).rejects.toThrow('validates nothing')
    await expect(of('10.2.0.1')).rejects.toThrow('validates nothing')
  })

  test('that are none are refused at the start', () => {
    const validation = { deny: ['db.internal'], allow: [] }
    expect(() => createValidator(resolveOptions({ validation }), null)).toThrow(
      'db.internal is not an address or a range of addresses for validation.',
    )
  })

  test('leave of the addresses of a name those that are not forbidden', async () => {
    const dns = await startDnsServer()
    onTestFinished(() => dns.close())
    dns.a.set('two.test', '169.254.169.254 192.168.1.1 127.0.0.1')
    const { of } = addresses([], [], dns.address)
    expect(await of('two.test')).toEqual(['192.168.1.1'])
  })
})

describe('a validation with ranges', () => {
  let dns: DnsServer
  beforeAll(async () => {
    dns = await startDnsServer()
    return () => dns.close()
  })

  /** Servers at one port of two addresses, of which the second is allowed; each counts its requests. */
  async function start() {
    const asked = { forbidden: 0, allowed: 0 }
    const answers = new Map<string, string>()
    let redirect: string | null = null
    const forbidden = await startResponder((request, response) => {
      asked.forbidden++
      response.end(answers.get(request.url?.split('/').at(-1) ?? ''))
    })
    const allowed = await startResponder(
      (request, response) => {
        asked.allowed++
        if (redirect !== null) response.writeHead(302, { location: redirect })
        response.end(answers.get(request.url?.split('/').at(-1) ?? ''))
      },
      forbidden.port,
      '127.0.0.2',
    )
    const world = await startChallenged({
      http01Port: forbidden.port,
      dnsResolver: dns.address,
      validation: { deny: [], allow: ['127.0.0.2'] },
    })
    onTestFinished(async () => {
      await world.close()
      await forbidden.close()
      await allowed.close()
    })
    const attempt = async (name: string) => {
      const challenge = await world.challengeFor(name, 'http-01')
      answers.set(challenge.token, challenge.keyAuthorization)
      return (await world.client.post(challenge.url, {})).body
    }
    const to = (path: string) => (redirect = `http://${path.replace('PORT', `${forbidden.port}`)}`)
    return { world, asked, attempt, to }
  }

  test('connects to the address that is allowed, and to no other of the name', async () => {
    const { asked, attempt } = await start()
    dns.a.set('both.test', '127.0.0.1 127.0.0.2')
    expect((await attempt('both.test')).status).toBe('valid')
    expect(asked).toEqual({ forbidden: 0, allowed: 1 })
    dns.a.set('one.test', '127.0.0.1')
    const refused = await attempt('one.test')
    expect(refused.status).toBe('invalid')
    expect(refused.error).toMatchObject({
      type: 'urn:ietf:params:acme:error:connection',
      detail: expect.stringMatching(/^one\.test is at 127\.0\.0\.1, where this server validates/),
    })
    expect(asked.forbidden).toBe(0)
  })

  test.each(['127.0.0.1:PORT/x', 'one.test:PORT/x', '169.254.169.254/latest', 'localhost:PORT/x'])(
    'follows no redirect to %s',
    async (target) => {
      const { asked, attempt, to } = await start()
      dns.a.set('good.test', '127.0.0.2')
      dns.a.set('one.test', '127.0.0.1')
      to(target)
      const { status, error } = await attempt('good.test')
      expect([status, error.type]).toEqual(['invalid', 'urn:ietf:params:acme:error:connection'])
      expect(asked).toEqual({ forbidden: 0, allowed: 1 })
    },
  )

  test('by tls-alpn-01 connects to no forbidden address either', async () => {
    const alpn = await startAlpnServer()
    const world = await startChallenged({
      tlsAlpn01Port: alpn.port,
      validation: { deny: [], allow: [] },
    })
    onTestFinished(async () => {
      await world.close()
      await alpn.close()
    })
    const challenge = await world.challengeFor('a.localhost', 'tls-alpn-01')
    const { body } = await world.client.post(challenge.url, {})
    expect(body.error.detail).toContain('where this server validates nothing')
    expect(alpn.asked).toEqual([])
  })
})
