import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { permitScope } from '../../src/authority/create.ts'
import type { Acme } from './harness.ts'
import { expectProblem } from './problem.ts'
import type { RawClient } from './raw.ts'
import { obtain, type Responder } from './responder.ts'
import { startWithClient } from './with-client.ts'

let acme: Acme
let responder: Responder
let client: RawClient
let close: () => Promise<void>
beforeAll(async () => {
  ;({ acme, responder, client, close } = await startWithClient())
})
afterAll(() => close())

describe('identifiers that are refused', () => {
  test.each([
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

  test.each([
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

  test('for what they are, each in a subproblem with the command that permits it', async () => {
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
    const dotted = await client.order(['a.localhost.'])
    expect(dotted.body.detail).toBe('The name "a.localhost." ends with a dot; write it without.')
  })

  test('until they are permitted', async () => {
    expectProblem(await client.order(['x.dev.example.net']), 'rejectedIdentifier', 400)
    await permitScope(acme.state, { permit: ['dev.example.net'] }, new Date())
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    expect((await client.order(['x.dev.example.net'])).status).toBe(201)
  })

  test.each([
    { notBefore: null, notAfter: null, profile: null, replaces: null },
    { notBefore: '0001-01-01T00:00:00Z', notAfter: '0001-01-01T00:00:00Z' },
  ])('not for members that a client writes though it has nothing to say: %j', async (more) => {
    const answer = await client.order(['a.localhost'], more)
    expect(answer.status, answer.text).toBe(201)
    expect(answer.body).not.toHaveProperty('notBefore')
    expect(answer.body).not.toHaveProperty('notAfter')
    expect(answer.body).toMatchObject({ profile: 'default' })
  })

  test('unless a profile of the name exists', async () => {
    expectProblem(await client.order(['a.localhost'], { profile: 'gold' }), 'invalidProfile', 400)
    const { chain } = await obtain(client, ['a.localhost'], responder, { profile: 'short' })
    const { validFrom, validTo } = new X509Certificate(chain)
    expect(Math.round((Date.parse(validTo) - Date.parse(validFrom)) / 86_400_000)).toBe(7)
  })
})

describe('dates that are asked for', () => {
  test('are those of the certificate', async () => {
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
