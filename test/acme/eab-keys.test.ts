import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { CreatedEabKey, EabKeyOptions } from '../../src/acme/eab-keys.ts'
import { createMemory } from '../../src/acme/store/memory.ts'
import { bindTo } from './bind.ts'
import { startAcme, type Acme } from './harness.ts'
import { expectProblem } from './problem.ts'
import { csrFor, RawClient } from './raw.ts'
import { authorize, obtain, startResponder, type Responder } from './responder.ts'

let responder: Responder
beforeAll(async () => {
  responder = await startResponder()
})
afterAll(() => responder.close())

const kept = [
  ['files', () => undefined],
  ['memory', () => createMemory()()],
] as const

describe.each(kept)('a key for external account binding, kept in %s', (_, makeStore) => {
  let acme: Acme
  let now = new Date()
  beforeAll(async () => {
    const options = { http01Port: responder.port, eabRequired: true, dnsResolver: '127.0.0.1:1' }
    acme = await startAcme({ store: makeStore(), options, now: () => now })
  })
  afterAll(() => acme.close())

  const create = (options?: EabKeyOptions) => acme.server.createEabKey(options)
  const client = async (): Promise<RawClient> => {
    const made = await new RawClient(acme.directory, acme.root).start(null)
    onTestFinished(() => made.close())
    return made
  }
  const bound = async (key: CreatedEabKey): Promise<RawClient> => {
    const made = await client()
    expect((await bindTo(made, key)).status).toBe(201)
    return made
  }
  const listed = async ({ kid }: CreatedEabKey) =>
    (await acme.server.listEabKeys()).find(({ id }) => id === kid)

  test('binds any number of accounts where it was made without options', async () => {
    const key = await create()
    for (let i = 0; i < 3; i++) await bound(key)
    expect(await listed(key)).toEqual({ id: key.kid, createdAt: expect.any(Number) })
  })

  test('binds one account, and again the same one, where options say nothing else', async () => {
    const key = await create({ label: 'CI' })
    expect(await listed(key)).toMatchObject({ label: 'CI', uses: 1 })
    const first = await bound(key)
    expect((await bindTo(first, key)).status).toBe(200)
    expect(await listed(key)).toMatchObject({ uses: 0 })
    const refused = await bindTo(await client(), key)
    expectProblem(refused, 'unauthorized', 403)
    expect(refused.body.detail).toBe(
      'The key of the externalAccountBinding has bound all accounts it may: ask for another key.',
    )
  })

  test('binds as many of the accounts that ask at once as it may', async () => {
    const key = await create({ uses: 2 })
    const clients = await Promise.all(Array.from({ length: 5 }, client))
    const answers = await Promise.all(clients.map((one) => bindTo(one, key)))
    expect(
      answers
        .map(({ status }) => `${status}`)
        .toSorted()
        .join(' '),
    ).toBe('201 201 403 403 403')
    expect(await listed(key)).toMatchObject({ uses: 0 })
  })

  test('binds one account where its client asks many times at once', async () => {
    const key = await create({})
    const one = await client()
    const answers = await Promise.all([1, 2, 3, 4].map(() => bindTo(one, key)))
    expect(
      answers
        .map(({ status }) => `${status}`)
        .toSorted()
        .join(' '),
    ).toBe('200 200 200 201')
  })

  test('lets its accounts order its names, and tells the others', async () => {
    const one = await bound(await create({ names: ['api.localhost', '*.team.localhost'] }))
    expect((await one.order(['api.localhost', 'a.b.team.localhost'])).status).toBe(201)
    expect((await one.order(['*.team.localhost'])).status).toBe(201)
    const refused = await one.order(['api.localhost', 'b.localhost', '127.0.0.1'])
    expectProblem(refused, 'rejectedIdentifier', 400)
    expect(refused.body.subproblems).toMatchObject([
      { identifier: { value: 'b.localhost' } },
      { identifier: { value: '127.0.0.1' } },
    ])
    expect(refused.body.detail).toContain(
      "b.localhost is not one of the names that this account's key is for: api.localhost, *.team.localhost.",
    )
    const addresses = await bound(await create({ names: ['127.0.0.0/8'] }))
    expect((await addresses.order(['127.0.0.1'])).status).toBe(201)
    expectProblem(await addresses.order(['::1']), 'rejectedIdentifier', 400)
  })

  test('chooses the profile of its accounts', async () => {
    const one = await bound(await create({ profiles: ['short'] }))
    expect((await one.order(['a.localhost'])).body.profile).toBe('short')
    const refused = await one.order(['a.localhost'], { profile: 'default' })
    expectProblem(refused, 'invalidProfile', 400)
    expect(refused.body.detail).toBe(
      "The profile default is not one that this account's key is for: short.",
    )
    const both = await bound(await create({ profiles: ['short', 'default'] }))
    expect((await both.order(['a.localhost'])).body.profile).toBe('default')
  })

  test('vouches for names in place of a challenge, and for no others', async () => {
    const key = await create({
      names: ['*.team.localhost', 'b.localhost'],
      preauthorized: ['*.team.localhost'],
    })
    const one = await bound(key)
    const names = ['a.team.localhost', '*.team.localhost']
    const order = await one.order(names)
    expect([order.status, order.body.status]).toEqual([201, 'ready'])
    const [authorization] = order.body.authorizations
    const { body } = await one.post(authorization, null)
    expect(body).toMatchObject({ status: 'valid', challenges: [] })
    const finalized = await one.post(order.body.finalize, { csr: csrFor(names) })
    expect(finalized.body.status).toBe('valid')
    const mixed = await one.order(['a.team.localhost', 'b.localhost'])
    expect(mixed.body.status).toBe('pending')
    const statuses = mixed.body.authorizations.map(async (url: string) => {
      const { status, challenges } = (await one.post(url, null)).body
      return [status, challenges.length]
    })
    expect(await Promise.all(statuses)).toEqual([
      ['valid', 0],
      ['pending', 3],
    ])
    const csr = csrFor(['a.team.localhost', 'b.localhost'])
    expectProblem(await one.post(mixed.body.finalize, { csr }), 'orderNotReady', 403)
    await one.post(mixed.body.authorizations[0], { status: 'deactivated' })
    expect((await one.post(mixed.headers['location'] ?? '', null)).body.status).toBe('invalid')
    expectProblem(await one.order(['c.localhost']), 'rejectedIdentifier', 400)
    const other = await bound(await create({}))
    expect((await other.order(['a.team.localhost'])).body.status).toBe('pending')
  })

  test('that is revoked binds nobody, and ends the orders of its accounts', async () => {
    const key = await create({ uses: null })
    const one = await bound(key)
    const { certificate } = await obtain(one, ['kept.localhost'], responder)
    const ready = await one.order(['ready.localhost'])
    await authorize(one, ready, responder)
    expect(await acme.server.revokeEabKey(key.kid)).toBe(true)
    expect(await acme.server.revokeEabKey(key.kid)).toBe(false)
    expect(await listed(key)).toMatchObject({ revoked: now.getTime() })
    const refused = await one.order(['a.localhost'])
    expectProblem(refused, 'unauthorized', 403)
    expect(refused.body.detail).toContain('The key that this account is bound to was revoked')
    const csr = csrFor(['ready.localhost'])
    expectProblem(await one.post(ready.body.finalize, { csr }), 'unauthorized', 403)
    expectProblem(await bindTo(await client(), key), 'unauthorized', 403)
    expect((await one.post(certificate, null)).status).toBe(200)
    await expect(acme.server.revokeEabKey('x')).rejects.toThrow('There is no key x here.')
  })

  test('that is revoked ends what its accounts may revoke of others', async () => {
    const keys = [await create({ preauthorized: ['v.localhost'] }), await create({})] as const
    const [vouched, owner] = [await bound(keys[0]), await bound(keys[1])]
    const issue = async () => {
      const { chain } = await obtain(owner, ['v.localhost'], responder)
      return { certificate: new X509Certificate(chain).raw.toString('base64url') }
    }
    const [first, second] = [await issue(), await issue()]
    expect((await vouched.order(['v.localhost'])).body.status).toBe('ready')
    expect((await vouched.post(vouched.to('revokeCert'), first)).status).toBe(200)
    for (const { kid } of keys) await acme.server.revokeEabKey(kid)
    expectProblem(await vouched.post(vouched.to('revokeCert'), second), 'unauthorized', 403)
    expect((await owner.post(owner.to('revokeCert'), second)).status).toBe(200)
  })

  test('that has expired binds nobody, and its accounts order nothing', async () => {
    const expires = new Date(now.getTime() + 1_000)
    const key = await create({ uses: null, expires })
    const one = await bound(key)
    expect((await one.order(['a.localhost'])).status).toBe(201)
    const before = now
    onTestFinished(() => void (now = before))
    now = expires
    const refused = await one.order(['a.localhost'])
    expectProblem(refused, 'unauthorized', 403)
    expect(refused.body.detail).toContain('has expired')
    expectProblem(await bindTo(await client(), key), 'unauthorized', 403)
  })

  test('is not made of options that mean nothing', async () => {
    const faults: [EabKeyOptions, string][] = [
      [{ names: [] }, 'The key is for no name.'],
      [{ names: ['a b'] }, 'a b is not a name'],
      [{ names: Array.from({ length: 101 }, (_, i) => `a${i}.test`) }, '101 names are too many'],
      [{ profiles: ['long'] }, 'There is no profile long.'],
      [{ profiles: [] }, 'The key is for no profile.'],
      [{ uses: 0 }, '0 is not a number of accounts'],
      [{ uses: 1.5 }, '1.5 is not a number of accounts'],
      [{ expires: new Date(0) }, 'The key would expire before it is made.'],
      [{ expires: new Date(Number.NaN) }, 'The key would expire before it is made.'],
      [{ label: 'x'.repeat(201) }, 'more than 200 characters'],
    ]
    for (const [options, sentence] of faults)
      await expect(create(options)).rejects.toThrow(
        expect.objectContaining({ code: 'usage', message: expect.stringContaining(sentence) }),
      )
  })
})

describe('a key of a server for other machines', () => {
  let acme: Acme
  beforeAll(async () => {
    const validation = { deny: [], allow: ['127.0.0.1'] }
    const options = { http01Port: responder.port, eabRequired: true, validation }
    acme = await startAcme({ options })
  })
  afterAll(() => acme.close())

  test.each([
    'localhost',
    'a.localhost',
    '*.localhost',
    '127.0.0.1',
    '127.1.0.0/16',
    '::1',
    '::/0',
  ])('vouches for no loopback name, such as %s', async (name) => {
    const options = { preauthorized: ['web.team.internal', name] }
    await expect(acme.server.createEabKey(options)).rejects.toMatchObject({
      code: 'usage',
      message: `${name} names each machine for itself, so no key vouches for it.`,
    })
    await acme.server.createEabKey({ names: [name], preauthorized: ['web.team.internal'] })
  })

  test('leaves the name of the server itself to its challenge, and wildcards that have it', async () => {
    const validation = { deny: [], allow: ['127.0.0.1'] }
    const options = { dnsResolver: '127.0.0.1:1', eabRequired: true, allowRemote: true, validation }
    const baseUrl = 'https://ca.team.internal/acme'
    const team = await startAcme({ options, baseUrl })
    onTestFinished(() => team.close())
    const client = new RawClient(`${baseUrl}/directory`, team.root)
    // The name leads here, where the certificate is for localhost.
    Object.assign(client.agent.options, {
      port: team.port,
      servername: 'localhost',
      lookup: (_: string, __: object, found: (error: null, all: object[]) => void) =>
        found(null, [{ address: '127.0.0.1', family: 4 }]),
    })
    await client.start(null)
    onTestFinished(() => client.close())
    await bindTo(client, await team.server.createEabKey({ preauthorized: ['*.team.internal'] }))
    const statusOf = async (name: string) => (await client.order([name])).body.status
    expect(await statusOf('web.team.internal')).toBe('ready')
    expect(await statusOf('*.web.team.internal')).toBe('ready')
    expect(await statusOf('ca.team.internal')).toBe('pending')
    expect(await statusOf('*.team.internal')).toBe('pending')
  })

  test('leaves a loopback address to its challenge, also where a range has it', async () => {
    const key = await acme.server.createEabKey({ preauthorized: ['126.0.0.0/7'] })
    const client = await new RawClient(acme.directory, acme.root).start(null)
    onTestFinished(() => client.close())
    await bindTo(client, key)
    const { body } = await client.order(['127.0.0.1'])
    expect(body.status).toBe('pending')
  })
})
