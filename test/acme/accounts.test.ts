import { createHmac } from 'node:crypto'
import { calculateJwkThumbprint, FlattenedSign } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startAcme, type Acme } from './harness.ts'
import { expectProblem } from './problem.ts'
import { createKey, RawClient, type RawKey } from './raw.ts'

let acme: Acme
const clients: RawClient[] = []
beforeAll(async () => {
  acme = await startAcme()
})
afterAll(async () => {
  for (const client of clients) client.close()
  await acme.close()
})

async function open(account: object | null = {}, at = acme, key?: RawKey): Promise<RawClient> {
  const client = await new RawClient(at.directory, at.root, key).start(account)
  clients.push(client)
  return client
}

describe('new accounts', () => {
  test('are created with 201, and found again with 200', async () => {
    const client = await open(null)
    const payload = { contact: ['mailto:me@example.com'], termsOfServiceAgreed: true }
    const made = await client.postWithKey(client.to('newAccount'), payload)
    expect(made.status).toBe(201)
    expect(made.body).toMatchObject({ status: 'valid', ...payload })
    expect(made.body.orders).toMatch(/\/orders\//)
    for (const again of [{}, { onlyReturnExisting: true, contact: ['mailto:x@example.com'] }]) {
      const found = await client.postWithKey(client.to('newAccount'), again)
      expect([found.status, found.headers['location']]).toEqual([200, made.headers['location']])
      expect(found.body.contact).toEqual(payload.contact)
    }
  })

  test('are created where the client writes null for what it does not say', async () => {
    const client = await open(null)
    const unsaid = { contact: null, onlyReturnExisting: null, termsOfServiceAgreed: null }
    const answer = await client.postWithKey(client.to('newAccount'), unsaid)
    expect(answer.status, answer.text).toBe(201)
    expect(answer.body).not.toHaveProperty('contact')
  })

  test('are not created when only an existing one is asked for', async () => {
    const client = await open(null)
    // certbot sends further members with it.
    const payload = { onlyReturnExisting: true, termsOfServiceAgreed: true, other: [1] }
    const answer = await client.postWithKey(client.to('newAccount'), payload)
    expectProblem(answer, 'accountDoesNotExist', 400)
  })

  test('made by one key at the same time are one', async () => {
    const client = await open(null)
    const answers = await Promise.all(
      [1, 2, 3, 4].map(() => client.postWithKey(client.to('newAccount'), {})),
    )
    expect(new Set(answers.map(({ headers }) => headers['location'])).size).toBe(1)
    expect(answers.map(({ status }) => `${status}`).toSorted()).toEqual([
      '200',
      '200',
      '200',
      '201',
    ])
  })

  test.each([
    ['unsupportedContact', 'tel:+12025551212'],
    ['unsupportedContact', 'https://example.com'],
    ['invalidContact', 'me@example.com'],
    ['invalidContact', 'mailto:'],
    ['invalidContact', 'mailto:me'],
    ['invalidContact', 'mailto:me@'],
    ['invalidContact', 'mailto:@example.com'],
    ['invalidContact', 'mailto:a@example.com,b@example.com'],
    ['invalidContact', 'mailto:a@example.com?subject=x'],
    ['invalidContact', 'mailto:a b@example.com'],
    ['invalidContact', `mailto:${'a'.repeat(400)}@example.com`],
    ['invalidContact', ''],
    ['malformed', 7],
    ['malformed', null],
  ])('are refused as %s with the contact %j', async (type, contact) => {
    const client = await open(null)
    const answer = await client.postWithKey(client.to('newAccount'), { contact: [contact] })
    expectProblem(answer, type, 400)
  })

  test.each([
    { contact: 'mailto:a@example.com' },
    { contact: Array.from({ length: 11 }, () => 'mailto:a@example.com') },
    { termsOfServiceAgreed: 'yes' },
    { onlyReturnExisting: 1 },
  ])('are malformed with %j', async (payload) => {
    const client = await open(null)
    const answer = await client.postWithKey(client.to('newAccount'), payload)
    expectProblem(answer, 'malformed', 400)
    expectProblem(await client.postWithKey(client.to('newAccount'), null), 'malformed', 400)
  })

  test('have to agree to terms where there are some', async () => {
    const terms = 'https://localhost/terms'
    const other = await startAcme({ options: { termsOfService: terms } })
    const client = await open(null, other)
    expect(client.directory.meta.termsOfService).toBe(terms)
    expectProblem(await client.postWithKey(client.to('newAccount'), {}), 'malformed', 400)
    const agreed = { termsOfServiceAgreed: true }
    expect((await client.postWithKey(client.to('newAccount'), agreed)).status).toBe(201)
    await other.close()
  })
})

describe('accounts', () => {
  test('are shown and changed by their own key alone', async () => {
    const client = await open()
    const stranger = await open()
    const contact = ['mailto:new@example.com']
    expect((await client.post(client.kid, { contact })).body.contact).toEqual(contact)
    expect((await client.post(client.kid, null)).body.contact).toEqual(contact)
    expect((await client.post(client.kid, { contact: [] })).body.contact).toBeUndefined()
    for (const payload of [null, { contact }, { status: 'deactivated' }])
      expectProblem(await stranger.post(client.kid, payload), 'unauthorized', 403)
    expect((await client.post(client.kid, null)).body.status).toBe('valid')
    expectProblem(await client.post(client.kid, { contact: ['x'] }), 'invalidContact', 400)
    expectProblem(await client.post(client.kid, { status: 'revoked' }), 'malformed', 400)
  })

  test('that are deactivated can do nothing any more, nor come back', async () => {
    const client = await open()
    const { body } = await client.order(['a.localhost'])
    const ended = await client.post(client.kid, { status: 'deactivated' })
    expect([ended.status, ended.body.status]).toEqual([200, 'deactivated'])
    expectProblem(await client.order(['a.localhost']), 'unauthorized', 403)
    expectProblem(await client.post(client.kid, null), 'unauthorized', 403)
    expectProblem(await client.post(body.authorizations[0], null), 'unauthorized', 403)
    expectProblem(await client.postWithKey(client.to('newAccount'), {}), 'unauthorized', 403)
  })

  test('list their orders, and nobody else does', async () => {
    const client = await open()
    const { body } = await client.post(client.kid, null)
    expect((await client.post(body.orders, null)).body).toEqual({ orders: [] })
    const made = [await client.order(['a.localhost']), await client.order(['b.localhost'])]
    const listed = await client.post(body.orders, null)
    expect(listed.body.orders).toEqual(made.map(({ headers }) => headers['location']).toReversed())
    const stranger = await open()
    expectProblem(await stranger.post(body.orders, null), 'unauthorized', 403)
    expectProblem(
      await stranger.post(made[0]?.headers['location'] ?? '', null),
      'unauthorized',
      403,
    )
    expectProblem(await stranger.post(made[0]?.body.authorizations[0], null), 'unauthorized', 403)
    expectProblem(await stranger.post(made[0]?.body.finalize, { csr: 'AA' }), 'unauthorized', 403)
  })
})

describe('a change of key', () => {
  async function change(client: RawClient, to: RawKey, deviation: Deviation = {}) {
    const url = client.to('keyChange')
    const payload = { account: client.kid, oldKey: client.key.jwk, ...deviation.payload }
    const inner = await new FlattenedSign(Buffer.from(JSON.stringify(payload)))
      .setProtectedHeader({ alg: to.alg, jwk: to.jwk, url, ...deviation.header })
      .sign((deviation.by ?? to).privateKey)
    return client.post(url, inner)
  }

  test('lets the new key in and shuts the old one out', async () => {
    const client = await open()
    const next = createKey()
    expect((await change(client, next)).status).toBe(200)
    expectProblem(await client.order(['a.localhost']), 'malformed', 400)
    expect((await client.post(client.kid, null, { key: next })).status).toBe(200)
    const found = await client.postWithKey(client.to('newAccount'), {}, { key: next })
    expect([found.status, found.headers['location']]).toEqual([200, client.kid])
    const again = await client.postWithKey(client.to('newAccount'), {})
    expect(again.status).toBe(201)
  })

  test('to a key in use is refused with 409 and the account that has it', async () => {
    const [client, other] = [await open(), await open()]
    const answer = await change(client, other.key)
    expectProblem(answer, 'malformed', 409)
    expect(answer.headers['location']).toBe(other.kid)
    expect((await change(client, client.key)).status).toBe(409)
    expect((await client.post(client.kid, null)).status).toBe(200)
  })

  test.each<[string, Deviation]>([
    ['another account', { payload: { account: 'https://localhost/acme/account/x' } }],
    ['another old key', { payload: { oldKey: createKey().jwk } }],
    ['no old key', { payload: { oldKey: null } }],
    ['a nonce', { header: { nonce: 'AAAA' } }],
    ['a kid', { header: { kid: 'x' } }],
    ['no jwk', { header: { jwk: undefined } }],
    ['the signature of another key', { by: createKey() }],
  ])('with %s in the inner JWS is malformed', async (_, deviation) => {
    const client = await open()
    expectProblem(await change(client, createKey(), deviation), 'malformed', 400)
  })

  test('for another URL, with a weak key or without an inner JWS is refused', async () => {
    const client = await open()
    const elsewhere = { header: { url: client.to('newOrder') } }
    expectProblem(await change(client, createKey(), elsewhere), 'unauthorized', 403)
    const weak = createKey('RS256', 1024)
    const answer = await change(client, { ...createKey(), jwk: weak.jwk }, {})
    expectProblem(answer, 'badPublicKey', 400)
    expectProblem(await client.post(client.to('keyChange'), {}), 'malformed', 400)
    expectProblem(await client.post(client.to('keyChange'), null), 'malformed', 400)
  })
})

interface Deviation {
  readonly payload?: object
  readonly header?: object
  readonly by?: RawKey
}

async function bind(client: RawClient, kid: string, hmacKey: string, change: object = {}) {
  const url = client.to('newAccount')
  const header = { alg: 'HS256', kid, url, ...change }
  const binding = await new FlattenedSign(Buffer.from(JSON.stringify(client.key.jwk)))
    .setProtectedHeader(header)
    .sign(Buffer.from(hmacKey, 'base64url'))
  return client.postWithKey(url, { externalAccountBinding: binding })
}

describe('external account binding', () => {
  let bound: Acme
  beforeAll(async () => {
    bound = await startAcme({ options: { eabRequired: true } })
  })
  afterAll(() => bound.close())

  test('is demanded and told of in the directory', async () => {
    const client = await open(null, bound)
    expect(client.directory.meta.externalAccountRequired).toBe(true)
    const answer = await client.postWithKey(client.to('newAccount'), {})
    expectProblem(answer, 'externalAccountRequired', 403)
    expect(answer.body.detail).toContain('rootling acme eab create')
  })

  test('opens an account by a key that the operator gave', async () => {
    const { kid, hmacKey } = await bound.server.createEabKey()
    const client = await open(null, bound)
    const answer = await bind(client, kid, hmacKey)
    expect(answer.status).toBe(201)
    expect(answer.body.externalAccountBinding).toHaveProperty('signature')
    client.kid = answer.headers['location'] ?? ''
    expect((await client.order(['a.localhost'])).status).toBe(201)
    expect((await client.postWithKey(client.to('newAccount'), {})).status).toBe(200)
  })

  test('is refused when it is not what it should be', async () => {
    const { kid, hmacKey } = await bound.server.createEabKey()
    const client = await open(null, bound)
    const wrong = Buffer.alloc(32).toString('base64url')
    expectProblem(await bind(client, kid, wrong), 'unauthorized', 403)
    expectProblem(await bind(client, 'unknown', hmacKey), 'unauthorized', 403)
    const elsewhere = { url: 'https://localhost/acme/new-account' }
    expectProblem(await bind(client, kid, hmacKey, elsewhere), 'unauthorized', 403)
    expectProblem(await bind(client, kid, hmacKey, { nonce: 'AAAA' }), 'malformed', 400)
    expectProblem(
      await bind(client, kid, hmacKey.repeat(2), { alg: 'HS512' }),
      'badSignatureAlgorithm',
      400,
    )
    for (const more of [{ fill: 'x' }, { jwk: client.key.jwk }, { typ: 'JWS' }])
      expectProblem(await bind(client, kid, hmacKey, more), 'malformed', 400)
    const stranger = await open(null, bound)
    const forOther = await new FlattenedSign(Buffer.from(JSON.stringify(stranger.key.jwk)))
      .setProtectedHeader({ alg: 'HS256', kid, url: client.to('newAccount') })
      .sign(Buffer.from(hmacKey, 'base64url'))
    for (const externalAccountBinding of [forOther, {}, 'text', null])
      expectProblem(
        await client.postWithKey(client.to('newAccount'), { externalAccountBinding }),
        'malformed',
        400,
      )
  })
})

test('keeps of a binding what is small, and refuses a large one', async () => {
  const { kid, hmacKey } = await acme.server.createEabKey()
  const client = await open(null)
  const newAccount = client.to('newAccount')
  const send = (key: RawKey, before = '', more: object = {}) => {
    const head = `${before}${JSON.stringify({ alg: 'HS256', kid, url: newAccount })}`
    const [protectedHeader, payload] = [head, JSON.stringify({ ...key.jwk, ...more })].map((part) =>
      Buffer.from(part).toString('base64url'),
    )
    const signature = createHmac('sha256', Buffer.from(hmacKey, 'base64url'))
      .update(`${protectedHeader}.${payload}`)
      .digest('base64url')
    const binding = { protected: protectedHeader, payload, signature, other: 'x'.repeat(9_000) }
    return client.postWithKey(newAccount, { externalAccountBinding: binding }, { key })
  }
  expectProblem(await send(client.key, ' '.repeat(5_000)), 'malformed', 400)
  expectProblem(await send(client.key, '', { kid: 'x'.repeat(5_000) }), 'malformed', 400)
  for (const key of [client.key, createKey('RS256', 4_096)]) {
    const answer = await send(key)
    expect(answer.status).toBe(201)
    const kept = answer.body.externalAccountBinding
    expect(Object.keys(kept).toSorted()).toEqual(['payload', 'protected', 'signature'])
    expect(JSON.stringify(kept).length).toBeLessThan(5_000)
  }
})

test('names the key of an account as RFC 7638 has it', async () => {
  const client = await open()
  const { body } = await client.post(client.kid, null)
  expect(await calculateJwkThumbprint(body.key)).toBe(await calculateJwkThumbprint(client.key.jwk))
})

describe('by the URL for other machines', () => {
  let both: Acme
  beforeAll(async () => {
    // 127.0.0.1 is in place of another address: the server tells the two URLs apart by their host.
    both = await startAcme({
      remoteHost: '127.0.0.1',
      options: { eabRequired: true, dnsResolver: '127.0.0.1:1' },
    })
  })
  afterAll(() => both.close())

  /** Opens one account, and returns a client of it for each of the URLs. */
  async function openBoth() {
    const local = await open(null, both)
    const remoteUrl = both.directory.replace('localhost', '127.0.0.1')
    const remote = await new RawClient(remoteUrl, both.root, local.key).start(null)
    clients.push(remote)
    const key = await both.server.createEabKey()
    const kid = (await bind(remote, key.kid, key.hmacKey)).headers['location'] ?? ''
    remote.kid = kid
    local.kid = kid.replace('127.0.0.1', 'localhost')
    return { local, remote }
  }

  test('no loopback name or address is ordered, but by the local one it is', async () => {
    const { local, remote } = await openBoth()
    for (const name of [
      'localhost',
      'a.localhost',
      '*.a.localhost',
      '127.0.0.1',
      '127.9.9.9',
      '::1',
    ]) {
      const answer = await remote.order([name])
      expectProblem(answer, 'rejectedIdentifier', 400)
      expect(answer.body.detail).toContain(`${name} names the machine that uses it`)
      expect((await local.order([name])).status).toBe(201)
    }
    const mixed = await remote.order(['shop.test', 'A.LocalHost'])
    expectProblem(mixed, 'rejectedIdentifier', 400)
    expect(mixed.body.subproblems).toMatchObject([{ identifier: { value: 'a.localhost' } }])
    expect((await remote.order(['shop.test', '192.168.7.7'])).status).toBe(201)
  })
})
