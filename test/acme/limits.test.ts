import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { clientOf, createLimits, type AcmeLimits } from '../../src/acme/limits.ts'
import { createMemory } from '../../src/acme/store/memory.ts'
import { startAcme } from './harness.ts'
import { expectProblem } from './problem.ts'
import { createKey, RawClient, type RawAnswer } from './raw.ts'
import { authorize, startResponder, type Responder } from './responder.ts'

describe('limits', () => {
  const start = Date.now()
  let time = start
  const now = () => new Date(time)

  test('allow their whole number at once, and give it back evenly', () => {
    time = start
    const limits = createLimits({ ordersPerHour: 4 }, now)
    const order = (who: string): void => {
      limits.check('ordersPerHour', who)
      limits.count('ordersPerHour', who)
    }
    for (let i = 0; i < 4; i++) order('a')
    expect(() => order('a')).toThrow(
      'The limit on orders of one account is 4 an hour, and is used up: try again in 900 seconds.',
    )
    order('b')
    time += 899_000
    expect(() => order('a')).toThrow('try again in 1 seconds')
    time += 1_000
    order('a')
    expect(() => order('a')).toThrow('try again in 900 seconds')
    time -= 86_400_000
    expect(() => order('a')).toThrow('try again in 900 seconds')
    time += 3_600_000
    for (let i = 0; i < 4; i++) order('a')
    expect(() => order('a')).toThrow('used up')
  })

  test('take more than is left once, for which the next one waits', () => {
    const limits = createLimits({ namesPerHour: 60 }, now)
    limits.check('namesPerHour', 'a')
    limits.count('namesPerHour', 'a', 100)
    expect(() => limits.check('namesPerHour', 'a')).toThrow('try again in 2460 seconds')
    limits.giveBack('namesPerHour', 'a', 100)
    limits.check('namesPerHour', 'a')
  })

  test('of nothing allow nothing, and absent ones everything', () => {
    const limits = createLimits({ newAccountsPerHour: 0 }, now)
    expect(() => limits.check('newAccountsPerHour', 'a')).toThrow('try again in 3600 seconds')
    limits.count('ordersPerHour', 'a', 1e9)
    limits.check('ordersPerHour', 'a')
  })

  test('forget the one that was counted for the longest ago beyond 20,000', () => {
    const limits = createLimits({ failedSignaturesPerMinute: 1 }, now)
    const count = (who: string) => limits.count('failedSignaturesPerMinute', who)
    const check = (who: string) => limits.check('failedSignaturesPerMinute', who)
    for (let i = 0; i < 20_000; i++) count(String(i))
    expect(() => check('0')).toThrow('1 a minute')
    count('0')
    count('new')
    check('1')
    for (const who of ['0', '2', 'new']) expect(() => check(who)).toThrow('1 a minute')
  })

  test('count the addresses of an IPv6 network as one client', () => {
    expect(clientOf('::ffff:10.0.0.1')).toBe('10.0.0.1')
    expect(clientOf('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64')
    expect(clientOf('fe80::1%eth0')).toBe('fe80::/64')
    expect(clientOf('::1')).toBe('::/64')
    expect(clientOf(undefined)).toBe('')
  })
})

let responder: Responder
beforeAll(async () => {
  responder = await startResponder()
})
afterAll(() => responder.close())

const kept = [
  ['files', () => undefined],
  ['memory', () => createMemory()()],
] as const

describe.each(kept)('a server with limits, kept in %s', (_, makeStore) => {
  let time = Date.now()
  async function start(limits: AcmeLimits) {
    time = Date.now()
    const options = { http01Port: responder.port, limits }
    const acme = await startAcme({ store: makeStore(), options, now: () => new Date(time) })
    onTestFinished(() => acme.close())
    return async (account: object | null = {}, key = createKey()) => {
      const client = await new RawClient(acme.directory, acme.root, key).start(account)
      onTestFinished(() => client.close())
      return client
    }
  }

  /** Expects a refusal by a limit, and that the same request, nonce included, is done after the time it tells. */
  async function expectLimited(
    client: RawClient,
    ask: (header: object) => Promise<RawAnswer>,
    sentence: string,
    status: number,
  ): Promise<void> {
    const header = { header: { nonce: await client.nonce() } }
    const refused = await ask(header)
    expectProblem(refused, 'rateLimited', 429)
    expect(refused.body.detail).toContain(sentence)
    expect(refused.headers['retry-after']).toMatch(/^[1-9]\d*$/)
    time += 1000 * Number(refused.headers['retry-after'])
    expect((await ask(header)).status).toBe(status)
    expectProblem(await client.postWithKey(client.to('newAccount'), {}, header), 'badNonce', 400)
  }

  const identifiers = (...names: string[]) => names.map((value) => ({ type: 'dns', value }))

  test('limits the orders of an account, and counts no refused ones', async () => {
    const open = await start({ ordersPerHour: 2 })
    const [client, other] = [await open(), await open()]
    for (let i = 0; i < 3; i++)
      expectProblem(await client.order(['a.example.com']), 'rejectedIdentifier', 400)
    for (let i = 0; i < 2; i++) expect((await client.order(['a.localhost'])).status).toBe(201)
    expect((await other.order(['a.localhost'])).status).toBe(201)
    const order = (header: object) =>
      client.post(client.to('newOrder'), { identifiers: identifiers('a.localhost') }, header)
    await expectLimited(client, order, 'The limit on orders of one account is 2 an hour', 201)
  })

  test('limits the names in the orders of an account', async () => {
    const open = await start({ namesPerHour: 3 })
    const client = await open()
    expect((await client.order(['a.localhost', 'b.localhost'])).status).toBe(201)
    const both = { identifiers: identifiers('c.localhost', 'd.localhost') }
    const order = (header: object) => client.post(client.to('newOrder'), both, header)
    expect((await order({})).status).toBe(201)
    await expectLimited(client, order, 'The limit on names in orders of one account is 3', 201)
  })

  test('limits the failed validations of an account, and counts no good ones', async () => {
    const open = await start({ failedValidationsPerHour: 1 })
    const client = await open()
    for (let i = 0; i < 2; i++)
      await authorize(client, await client.order(['a.localhost']), responder)
    const challenge = async (): Promise<string> => {
      const order = await client.order(['b.localhost'])
      const { challenges } = (await client.post(order.body.authorizations[0], null)).body
      return challenges.find(({ type }: { type: string }) => type === 'http-01').url
    }
    expect((await client.post(await challenge(), {})).body.status).toBe('invalid')
    const url = await challenge()
    const ask = (header: object) => client.post(url, {}, header)
    await expectLimited(client, ask, 'The limit on failed validations of one account is 1', 200)
    expect((await client.post(url, {})).body.status).toBe('invalid')
  })

  test('limits the new accounts from an address, and no account that exists', async () => {
    const open = await start({ newAccountsPerHour: 2 })
    const client = await open()
    await open({}, client.key)
    await open()
    expect((await client.order(['a.localhost'])).status).toBe(201)
    const fresh = await open(null, createKey())
    const ask = (header: object) => fresh.postWithKey(fresh.to('newAccount'), {}, header)
    await expectLimited(fresh, ask, 'The limit on new accounts from one address is 2', 201)
  })

  test('limits the wrong signatures from an address', async () => {
    const open = await start({ failedSignaturesPerMinute: 3 })
    const client = await open()
    const wrong = { key: createKey() }
    for (let i = 0; i < 3; i++)
      expectProblem(await client.post(client.kid, null, wrong), 'malformed', 400)
    const ask = (header: object) => client.post(client.kid, null, header)
    await expectLimited(client, ask, 'The limit on wrong signatures from one address is 3', 200)
  })
})
