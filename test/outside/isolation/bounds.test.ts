import { statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { bounds } from '../../../src/acme/store/bounds.ts'
import type { Account, Authorization, Order } from '../../../src/acme/resources.ts'
import { resolveOptions } from '../../../src/acme/options.ts'
import { openStore, type Store } from '../../../src/acme/store/store.ts'
import { createValidator } from '../../../src/acme/validation/validator.ts'
import { temporaryState } from '../../helpers/temporary.ts'
import { startAcme, type Acme } from '../../acme/harness.ts'
import { expectProblem } from '../../acme/problem.ts'
import { RawClient } from '../../acme/raw.ts'
import { startResponder } from '../../acme/responder.ts'
import { hear, open } from './http1.ts'

const account = (id: string, more: Partial<Account> = {}): Account => ({
  id,
  status: 'valid',
  jwk: { kty: 'EC' },
  thumbprint: `of ${id}`,
  contact: [],
  termsOfServiceAgreed: true,
  createdAt: 0,
  ...more,
})
const identifier = { type: 'dns', value: 'a.localhost' } as const

/** An account that is bound to a key; `null`: to none. Its contact has so many octets. */
const bound = (id: string, key: string | null, octets = 0): Account => {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const head = encode({ alg: 'HS256', kid: key, url: 'https://localhost/acme/new-account' })
  const binding = { protected: head, payload: encode({ kty: 'EC' }), signature: 'AA' }
  return account(id, {
    contact: ['x'.repeat(octets)],
    ...(key === null ? {} : { externalAccountBinding: binding }),
  })
}

/** An order for so many names, with its authorizations. */
function putOrder(store: Store, id: string, accountId: string, names: number): void {
  const expires = Date.now() + 86_400_000
  const authorizations: Authorization[] = Array.from({ length: names }, (_, i) => ({
    id: `${id}-${i}`,
    accountId,
    identifier,
    wildcard: false,
    expires,
    deactivated: false,
    challenges: [],
  }))
  for (const one of authorizations) store.put('authorization', one)
  const order: Order = {
    id,
    accountId,
    identifiers: authorizations.map(() => identifier),
    authorizationIds: authorizations.map((one) => one.id),
    createdAt: Date.now(),
    expires,
    profile: 'default',
  }
  store.put('order', order)
  store.makeRoom()
}

describe('the memory of a server', () => {
  test('forgets the oldest accounts without orders, and none with orders or of another EAB key', async () => {
    const state = await temporaryState()
    const store = await openStore(state, () => new Date())
    store.put('account', account('bound', { externalAccountBinding: {} }))
    store.put('account', account('busy'))
    putOrder(store, 'order', 'busy', 1)
    for (let i = 0; i < bounds.accounts + 500; i++) {
      store.put('account', account(`flood${i}`))
      store.makeRoom()
    }
    const kept = [...store.all('account')].map(({ id }) => id)
    expect(kept).toHaveLength(bounds.accounts)
    expect(kept).toEqual(expect.arrayContaining(['bound', 'busy', `flood${bounds.accounts}`]))
    expect(kept).not.toContain('flood0')
    expect(store.accountByThumbprint('of flood0')).toBeUndefined()
    await store.close()
    const again = await openStore(state, () => new Date())
    expect([...again.all('account')].map(({ id }) => id)).toEqual(kept)
    await again.close()
  })

  test('forgets accounts of the EAB key that has most of them, and none of others', async () => {
    lower('accounts', 50)
    const state = await temporaryState()
    const store = await openStore(state, () => new Date())
    const others = ['own0', 'own1', 'honest0', 'honest1', 'honest2']
    for (const id of others) store.put('account', bound(id, id.startsWith('own') ? null : 'honest'))
    for (let i = 0; i < 200; i++) {
      store.put('account', bound(`flood${i}`, 'flood'))
      store.makeRoom()
    }
    const kept = [...store.all('account')].map(({ id }) => id)
    const flood = Array.from({ length: 45 }, (_, i) => `flood${155 + i}`)
    expect(kept).toEqual([...others, ...flood])
    await store.close()
    const again = await openStore(state, () => new Date())
    expect([...again.all('account')].map(({ id }) => id)).toEqual(kept)
    again.put('account', bound('more', 'honest'))
    again.makeRoom()
    const now = [...again.all('account')].map(({ id }) => id)
    expect(now).toEqual([...others, ...flood.slice(1), 'more'])
    await again.close()
  })

  test('counts the octets of accounts: few large ones are forgotten, and none of many small ones', async () => {
    lower('octetsOfAccounts', 200_000)
    const state = await temporaryState()
    const store = await openStore(state, () => new Date())
    for (let i = 0; i < 100; i++) store.put('account', bound(`small${i}`, 'honest'))
    for (let i = 0; i < 80; i++) {
      store.put('account', bound(`large${i}`, 'flood', 5_000))
      store.makeRoom()
    }
    const kept = [...store.all('account')].map(({ id }) => id)
    expect(kept.filter((id) => id.startsWith('small'))).toHaveLength(100)
    expect(kept.length).toBeLessThan(140)
    expect(kept).toContain('large79')
    await store.close()
    const again = await openStore(state, () => new Date())
    again.put('account', bound('last', 'flood', 5_000))
    again.makeRoom()
    expect([...again.all('account')]).toHaveLength(kept.length)
    await again.close()
  })

  test('lets a key with many accounts that have orders push out no account of others', async () => {
    lower('accounts', 20)
    lower('octets', 400_000)
    const state = await temporaryState()
    const store = await openStore(state, () => new Date())
    store.put('account', bound('honest0', 'honest'))
    store.put('account', bound('honest1', 'honest'))
    for (let i = 0; i < 200; i++) {
      store.put('account', bound(`flood${i}`, 'flood', 5_000))
      store.makeRoom()
      // It is about to order.
      expect(store.get('account', `flood${i}`)).toBeDefined()
      putOrder(store, `order${i}`, `flood${i}`, 1)
    }
    store.put('account', bound('honest2', 'honest'))
    store.makeRoom()
    for (const id of ['honest0', 'honest1', 'honest2'])
      expect(store.get('account', id)).toBeDefined()
    // Their orders are forgotten, and they with these.
    const kept = [...store.all('account')].length
    expect(kept).toBeGreaterThan(40)
    expect(kept).toBeLessThan(90)
    await store.close()
  })

  test('forgets orders of whoever has most of them, and none with a certificate', async () => {
    const state = await temporaryState()
    const store = await openStore(state, () => new Date())
    for (const id of ['honest', 'flood', 'finished']) store.put('account', account(id))
    putOrder(store, 'mine', 'honest', 2)
    putOrder(store, 'done', 'finished', 100)
    const done = store.get('order', 'done') as Order
    store.put('order', { ...done, certificateId: 'certificate' })
    for (let i = 0; i < 250; i++) putOrder(store, `order${i}`, 'flood', 100)
    expect(store.unfinished.names).toBeLessThanOrEqual(bounds.names)
    expect(store.unfinished.names).toBeGreaterThan(bounds.names - 100)
    expect([...store.all('authorization')]).toHaveLength(store.unfinished.names + 100)
    expect(store.get('order', 'mine')).toBeDefined()
    expect(store.get('order', 'done')).toBeDefined()
    expect(store.get('order', 'order249')).toBeDefined()
    expect(store.get('order', 'order0')).toBeUndefined()
    expect(store.unfinished.namesOf('honest')).toBe(2)
    expect(store.unfinished.namesOf('finished')).toBe(0)
    await store.close()
    const again = await openStore(state, () => new Date())
    expect(again.unfinished.names).toBe(store.unfinished.names)
    await again.close()
  })

  test('forgets the oldest finished orders with all that hangs on them, and none that waits', async () => {
    lower('octets', 300_000)
    const state = await temporaryState()
    const store = await openStore(state, () => new Date())
    store.put('account', account('one'))
    putOrder(store, 'waits', 'one', 1)
    for (let i = 0; i < 1_000; i++) {
      putOrder(store, `order${i}`, 'one', 1)
      finish(store, `order${i}`)
    }
    putOrder(store, 'last', 'one', 1)
    const kept = [...store.all('certificate')].length
    expect(kept).toBeGreaterThan(300)
    expect(kept).toBeLessThan(600)
    expect([...store.all('order')]).toHaveLength(kept + 2)
    expect([...store.all('authorization')]).toHaveLength(kept + 2)
    expect(store.get('order', 'waits')).toBeDefined()
    const [gone, oldest] = [999 - kept, 1_000 - kept]
    expect(store.get('order', `order${gone}`)).toBeUndefined()
    expect(store.certificateBySerialNumber(`serial of order${gone}`)).toBeUndefined()
    expect(store.certificateBySerialNumber(`serial of order${oldest}`)).toBeDefined()
    expect(store.ordersOf('one')).toHaveLength(kept + 2)
    await store.close()
    const again = await openStore(state, () => new Date())
    expect([...again.all('certificate')]).toHaveLength(kept)
    await again.close()
  })

  test('counts octets too: large orders are forgotten long before their number is reached', async () => {
    lower('octets', 200_000)
    const state = await temporaryState()
    const store = await openStore(state, () => new Date())
    store.put('account', account('one'))
    putOrder(store, 'waits', 'one', 1)
    for (let i = 0; i < 40; i++) {
      putOrder(store, `order${i}`, 'one', 100)
      finish(store, `order${i}`)
    }
    const kept = [...store.all('order')].map(({ id }) => id)
    expect(kept.length).toBeGreaterThan(5)
    expect(kept.length).toBeLessThan(20)
    expect(kept).toEqual(expect.arrayContaining(['waits', 'order39']))
    expect(store.certificateBySerialNumber('serial of order0')).toBeUndefined()
    // Without finished orders, the oldest ones of the account with the most names are forgotten.
    for (let i = 0; i < 40; i++) putOrder(store, `open${i}`, 'one', 100)
    expect(store.get('order', 'order39')).toBeUndefined()
    expect(store.get('order', 'open0')).toBeUndefined()
    expect(store.get('order', 'open39')).toBeDefined()
    await store.close()
    const size = () => statSync(join(state.path, 'acme', 'journal')).size
    const again = await openStore(state, () => new Date())
    expect(size()).toBeLessThan(250_000)
    // What was read counts as what was put.
    putOrder(again, 'last', 'one', 100)
    expect([...again.all('order')].length).toBeLessThan(20)
    await again.close()
  })
})

function finish(store: Store, id: string): void {
  const order = store.get('order', id) as Order
  const certificateId = `certificate of ${id}`
  store.put('certificate', {
    id: certificateId,
    accountId: order.accountId,
    orderId: id,
    identifiers: order.identifiers,
    serialNumber: `serial of ${id}`,
    issuerKeyIdentifier: '00',
    notBefore: 0,
    notAfter: order.expires,
    leaf: '',
    issuers: '',
  })
  store.put('order', { ...order, certificateId })
}

describe('an account', () => {
  let acme: Acme
  let time = Date.now()
  beforeAll(async () => {
    acme = await startAcme({ now: () => new Date(time) })
  })
  afterAll(() => acme.close())

  const register = () => new RawClient(acme.directory, acme.root).start()
  const hundred = (prefix: string) =>
    Array.from({ length: 100 }, (_, i) => `n${i}.${prefix}.localhost`)

  test('that orders without end and proves nothing is told to wait, and no other', async () => {
    const flood = await register()
    const orders: { body: { authorizations: string[] } }[] = []
    for (let i = 0; i < bounds.namesOfAccount / 100; i++)
      orders.push(await flood.order(hundred(`o${i}`)))
    const refused = await flood.order(['one-more.localhost'])
    expectProblem(refused, 'rateLimited', 429)
    expect(refused.headers['retry-after']).toMatch(/^\d+$/)
    const honest = await register()
    expect((await honest.order(['mine.localhost'])).status).toBe(201)

    const [url = ''] = orders[0]?.body.authorizations ?? []
    expect((await flood.post(url, { status: 'deactivated' })).status).toBe(200)
    expectProblem(await flood.order(['one-more.localhost']), 'rateLimited', 429)
    time += 2 * 3_600_000
    expect((await flood.order(['one-more.localhost'])).status).toBe(201)
    flood.close()
    honest.close()
  })
})

/** A smaller bound for one test. */
function lower(name: keyof typeof bounds, value: number): void {
  const usual = bounds[name]
  bounds[name] = value
  onTestFinished(() => void (bounds[name] = usual))
}

test('the validation that has taken longest is given up for a new one', async () => {
  lower('validations', 2)
  let silent = true
  const web = await startResponder((request, response) => {
    if (!silent) response.end(`${request.url?.split('/').at(-1)}.thumbprint`)
  })
  onTestFinished(() => web.close())
  const validator = createValidator(resolveOptions({ http01Port: web.port }), null)
  onTestFinished(() => validator.close())
  const validate = (id: string) =>
    validator.validate(id, {
      challenge: { type: 'http-01', token: id },
      identifier,
      thumbprint: 'thumbprint',
      bound: false,
    })
  const first = validate('first')
  const second = validate('second')
  second.catch(() => undefined)
  silent = false
  const third = validate('third')
  await expect(first).rejects.toThrow('took too long')
  await third
})

test('the body that has taken longest gives way to others', async () => {
  lower('bodies', 6_000)
  const started = await startAcme()
  onTestFinished(() => started.close())
  const head = [
    'POST /acme/new-order HTTP/1.1',
    'Host: localhost',
    'Content-Type: application/jose+json',
    'Connection: close',
  ]
  const slow = await open({ port: started.port, ca: started.root })
  slow.write(`${[...head, 'Content-Length: 5001'].join('\r\n')}\r\n\r\n${'x'.repeat(5_000)}`)
  const heard = hear(slow)
  const client = await new RawClient(started.directory, started.root).start()
  const names = Array.from({ length: 40 }, (_, i) => `name${i}.localhost`)
  expect((await client.order(names)).status).toBe(201)
  slow.write('x')
  const { status, body, head: lines } = await heard
  expect([status, JSON.parse(body).type]).toEqual([429, 'urn:ietf:params:acme:error:rateLimited'])
  expect(lines).toMatch(/^retry-after: 1$/im)
  client.close()
})
