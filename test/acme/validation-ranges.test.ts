import { networkInterfaces } from 'node:os'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { resolveOptions } from '../../src/acme/options.ts'
import { createAddresses } from '../../src/acme/validation/addresses.ts'
import { createValidator } from '../../src/acme/validation/validator.ts'
import { ipBytes } from '../../src/x509/ip.ts'
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
    'fd00:ec2::23',
    'fd20:ce::254',
    'fd00:c1::a9fe:a9fe',
    'fd00:42::42',
    'fd00:a9fe:a9fe::1',
    'fd00:100::100:200',
    '192.0.0.192',
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
    // What leads to IPv4 by this network's own NAT64, Teredo, 6to4, ISATAP and translation.
    '64:ff9b:1::a09:908',
    '64:ff9b:1:ffff::1',
    '2001:0:102:304::1',
    '2002:102:304::',
    '2001:db8::5efe:a9fe:a9fe',
    '2001:db8::200:5efe:10.9.9.9',
    '::ffff:0:127.0.0.1',
    '::10.9.9.9',
    '::2',
    'fec0::1',
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

  test.each([
    // The IPv4 address within is allowed, and the way to it is not.
    ['2002:a09:908::', ['10.9.9.8']],
    ['2001:0:a09:908::f6f6:f6f7', ['10.9.9.8']],
    // The way is allowed, and the address within is not.
    ['2002:7f00:1::', ['2002::/16']],
    ['2001:0:102:304::8001:fffe', ['2001::/32', '1.2.3.4']],
    ['64:ff9b::7f00:1', ['64:ff9b::/96']],
  ])('keep validation from %s where only a part of it is allowed', async (host, allow) => {
    await expect(addresses([], allow).of(host)).rejects.toThrow('validates nothing')
  })

  test.each([
    ['2002:7f00:1::', ['2002::/16', '127.0.0.1']],
    ['2001:0:102:304::8001:fffe', ['2001::/32', '127.0.0.0/8']],
    ['64:ff9b:1::a09:908', ['64:ff9b:1::/48']],
    ['64:ff9b::808:808', []],
    ['::1', ['::1']],
  ])('let it go to %s where all of it is allowed', async (host, allow) => {
    expect(await addresses([], allow).of(host)).toHaveLength(1)
  })

  test('keep it from the addresses of this machine, which are read when they are needed', async () => {
    const own: Buffer[] = []
    const of = (allow: readonly string[]) =>
      createAddresses(
        resolveOptions({ allowRemote: true, validation: { deny: [], allow } }),
        () => own,
      ).of
    const hosts = ['10.1.0.11', '64:ff9b::a01:b', '2001:db8::b']
    for (const host of hosts) expect(await of([])(host)).toEqual([host])
    own.push(ipBytes('10.1.0.11'), ipBytes('2001:db8::b'))
    for (const host of hosts) await expect(of([])(host)).rejects.toThrow('its own machine')
    expect(await of(['10.1.0.0/16'])('10.1.0.11')).toEqual(['10.1.0.11'])
    expect(await of([])('10.1.0.12')).toEqual(['10.1.0.12'])
  })

  test('are by default those of the interfaces', async () => {
    const [address] = Object.values(networkInterfaces())
      .flatMap((rows) => rows ?? [])
      .filter(({ internal }) => !internal)
      .map((row) => row.address.replace(/%.*$/, ''))
    if (address === undefined) return
    await expect(addresses([], []).of(address)).rejects.toThrow('validates nothing')
    expect(await addresses([], [address]).of(address)).toEqual([address])
  })

  test('keep it from what only its very address allows, as it is now', async () => {
    let database = ['10.1.0.5']
    const of = (allow: readonly string[]) =>
      createAddresses(
        resolveOptions({
          allowRemote: true,
          validation: { deny: [], allow, denyUnlessNamed: () => Promise.resolve(database) },
        }),
      ).of
    const wide = of(['10.0.0.0/8', '10.1.0.4/31'])
    for (const host of ['10.1.0.5', '::ffff:10.1.0.5', '64:ff9b::a01:5'])
      await expect(wide(host)).rejects.toThrow('validates nothing')
    expect(await wide('10.1.0.6')).toEqual(['10.1.0.6'])
    for (const named of ['10.1.0.5', '10.1.0.5/32'])
      expect(await of([named])('10.1.0.5')).toEqual(['10.1.0.5'])
    database = ['10.1.0.6']
    expect(await wide('10.1.0.5')).toEqual(['10.1.0.5'])
    await expect(wide('10.1.0.6')).rejects.toThrow('validates nothing')
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
