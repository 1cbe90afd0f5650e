import { X509Certificate } from 'node:crypto'
import { beforeAll, afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { createAcmeAuthority } from '../../src/acme/acme-authority.ts'
import { createAcmeServer } from '../../src/acme/server.ts'
import { RootlingError } from '../../src/errors.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'
import type { AcmeStore, Outcome } from '../../src/acme/store/contract.ts'
import { createMemory } from '../../src/acme/store/memory.ts'
import { readInventory } from '../../src/storage/files/record.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { startAcme, type Acme } from './harness.ts'
import { certIdOf } from './cert-id.ts'
import { expectProblem } from './problem.ts'
import { createKey, csrFor, RawClient } from './raw.ts'
import { authorize, keyAuthorization, obtain, startResponder, type Responder } from './responder.ts'

let responder: Responder
beforeAll(async () => {
  responder = await startResponder()
})
afterAll(() => responder.close())

/** A server over a store in memory, which knows no more than each route says that it needs. */
async function start(
  store: AcmeStore = createMemory()(),
  more: object = {},
  now = () => new Date(),
): Promise<Acme> {
  const options = { http01Port: responder.port, ...more }
  const acme = await startAcme({ store, options, now, state: await temporaryState() })
  onTestFinished(() => acme.close())
  return acme
}

async function connect(acme: Acme, key = createKey()): Promise<RawClient> {
  const client = await new RawClient(acme.directory, acme.root, key).start()
  onTestFinished(() => client.close())
  return client
}

/** A store whose commits are first answered with these outcomes, and written after that. */
function contended(outcomes: () => Outcome | undefined): AcmeStore {
  const real = createMemory()()
  return {
    ...real,
    async open(need) {
      const unit = await real.open(need)
      const commit = async (nonce: string | null): Promise<Outcome> =>
        (nonce === null ? undefined : outcomes()) ?? unit.commit(nonce)
      return { ...unit, commit }
    },
  }
}

describe('a server over a store that shows a request what it needs', () => {
  test('answers every route', async () => {
    const acme = await start()
    const client = await connect(acme)
    const { order, certificate, chain } = await obtain(client, ['m.localhost'], responder)
    const leaf = new X509Certificate(chain)
    expect((await client.post(certificate, null)).text).toBe(chain)
    const replaces = certIdOf(leaf)
    await obtain(client, ['m.localhost'], responder, { replaces })
    const again = await client.order(['m.localhost'], { replaces })
    expectProblem(again, 'alreadyReplaced', 409)
    const account = (await client.post(client.kid, { contact: ['mailto:a@b.test'] })).body
    expect(account.contact).toEqual(['mailto:a@b.test'])
    const { orders } = (await client.post(account.orders, null)).body
    expect([orders.length, orders[1]]).toEqual([2, order])
    const stranger = await connect(acme)
    const der = { certificate: leaf.raw.toString('base64url') }
    expectProblem(await stranger.post(client.to('revokeCert'), der), 'unauthorized', 403)
    await authorize(stranger, await stranger.order(['m.localhost']), responder)
    expect((await stranger.post(client.to('revokeCert'), der)).status).toBe(200)
    expectProblem(await client.post(client.to('revokeCert'), der), 'alreadyRevoked', 400)
    const pending = await client.order(['d.localhost'])
    const [url] = pending.body.authorizations
    expect((await client.post(url, { status: 'deactivated' })).body.status).toBe('deactivated')
    const inner = client.sign(
      { account: client.kid, oldKey: client.key.jwk },
      { url: client.to('keyChange'), jwk: stranger.key.jwk },
      { key: stranger.key },
    )
    const taken = await client.post(client.to('keyChange'), inner)
    expectProblem(taken, 'malformed', 409)
    expect((await client.post(client.kid, { status: 'deactivated' })).body.status).toBe(
      'deactivated',
    )
  })

  test('opens one account for a key that asks several times at once', async () => {
    const acme = await start()
    const client = await new RawClient(acme.directory, acme.root).start(null)
    onTestFinished(() => client.close())
    const ask = () => client.postWithKey(client.to('newAccount'), {})
    const answers = await Promise.all(Array.from({ length: 8 }, ask))
    expect(new Set(answers.map(({ headers }) => headers['location'])).size).toBe(1)
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(7)
  })

  test('gives one certificate for an order that is finalized eight times at once', async () => {
    const acme = await start()
    const client = await connect(acme)
    const made = await client.order(['eight.localhost'])
    await authorize(client, made, responder)
    const csr = { csr: csrFor(['eight.localhost']) }
    const finalize = () => client.post(made.body.finalize, csr)
    const answers = await Promise.all(Array.from({ length: 8 }, finalize))
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
    expect(answers[0]?.body.status).toBe('valid')
    const { certificates } = await readInventory(acme.state)
    const recorded = certificates.flatMap(({ identifiers }) => identifiers.map((one) => one.value))
    expect(recorded.filter((value) => value === 'eight.localhost')).toHaveLength(1)
  })
})

describe('a request that conflicts with others', () => {
  test('is done again with the same nonce, and happens once', async () => {
    let conflicts = 0
    const acme = await start(contended(() => (conflicts-- > 0 ? 'conflict' : undefined)))
    const client = await connect(acme)
    conflicts = 9
    const made = await client.order(['c.localhost'])
    expect([made.status, conflicts]).toEqual([201, -1])
    const { orders } = (await client.post((await client.post(client.kid, null)).body.orders, null))
      .body
    expect(orders).toEqual([made.headers['location']])
    await authorize(client, made, responder)
    conflicts = 3
    const csr = { csr: csrFor(['c.localhost']) }
    expect((await client.post(made.body.finalize, csr)).body.status).toBe('valid')
  })

  test('ten times is refused with a time to try again, and keeps its nonce', async () => {
    let conflicts = 0
    const acme = await start(contended(() => (conflicts-- > 0 ? 'conflict' : undefined)))
    const client = await connect(acme)
    const nonce = await client.nonce()
    conflicts = 10
    const identifiers = [{ type: 'dns', value: 'c.localhost' }]
    const url = client.to('newOrder')
    const refused = await client.post(url, { identifiers }, { header: { nonce } })
    expectProblem(refused, 'serverInternal', 503)
    expect(refused.headers['retry-after']).toBe('1')
    expect((await client.post(url, { identifiers }, { header: { nonce } })).status).toBe(201)
    ;(acme.errors as unknown[]).length = 0
  })
})

const away = () =>
  new RootlingError('database-away', 'The database db.internal:5432 does not answer.', {
    hint: 'Start postgres@db.internal',
  })

/** A store that answers nothing while `isAway`, for reads or for commits alone. */
function leaving(isAway: (what: 'open' | 'commit') => boolean): AcmeStore {
  const real = createMemory()()
  return {
    ...real,
    async open(need) {
      if (isAway('open')) throw away()
      const unit = await real.open(need)
      return {
        ...unit,
        commit: async (nonce) => {
          if (isAway('commit')) throw away()
          return unit.commit(nonce)
        },
      }
    },
  }
}

describe('a server whose database is away', () => {
  test.each(['open', 'commit'])('at %s says when to try again, and keeps the nonce', async (at) => {
    let isAway = false
    const acme = await start(leaving((what) => isAway && what === at))
    const client = await connect(acme)
    const nonce = await client.nonce()
    isAway = true
    const identifiers = [{ type: 'dns', value: 'a.localhost' }]
    const order = (header: object) => client.post(client.to('newOrder'), { identifiers }, header)
    const refused = await order({ header: { nonce } })
    expectProblem(refused, 'serverInternal', 503)
    expect(refused.headers['retry-after']).toBe('5')
    expect(refused.text).not.toMatch(/5432|postgres|db\.internal|atabase/)
    expect(acme.errors).toMatchObject([{ code: 'database-away' }])
    const fresh = refused.headers['replay-nonce'] ?? ''
    expect((await order({ header: { nonce: fresh } })).status).toBe(503)
    isAway = false
    for (const one of [nonce, fresh])
      expect((await order({ header: { nonce: one } })).status).toBe(201)
    expectProblem(await order({ header: { nonce } }), 'badNonce', 400)
    ;(acme.errors as unknown[]).length = 0
  })
})

test('a validation whose outcome cannot be written is still being processed', async () => {
  let isAway = false
  // Slow enough for the store to be told first that the validation was asked for.
  const silent = await startResponder((_, response) => {
    setTimeout(() => {
      isAway = true
      response.end()
    }, 500)
  })
  onTestFinished(() => silent.close())
  const acme = await start(
    leaving(() => isAway),
    { http01Port: silent.port },
  )
  const client = await connect(acme)
  const order = await client.order(['a.localhost'])
  const { challenges } = (await client.post(order.body.authorizations[0], null)).body
  const { url } = challenges.find(({ type }: { type: string }) => type === 'http-01')
  const answer = await client.post(url, {})
  expect([answer.status, answer.body.status]).toEqual([200, 'processing'])
  expect(answer.headers['retry-after']).toBe('1')
  isAway = false
  expect((await client.post(url, null)).body.status).toBe('processing')
  expect(acme.errors).toMatchObject([{ code: 'database-away' }])
  ;(acme.errors as unknown[]).length = 0
})

test('a server over a given store and authority needs no state directory', async () => {
  const state = await temporaryState()
  const storage = fileStorage(state)
  const now = () => new Date()
  const authority = createAcmeAuthority({ storage, now })
  const eabCommand = 'rootling server eab create'
  const options = { http01Port: responder.port }
  const setup = { state, authority, eabCommand, store: createMemory()(), options }
  const acme = await startAcme(setup)
  onTestFinished(() => acme.close())
  const client = await connect(acme)
  await obtain(client, ['s.localhost'], responder)
  const strict = await startAcme({
    ...setup,
    store: createMemory()(),
    options: { eabRequired: true },
  })
  onTestFinished(() => strict.close())
  await expect(connect(strict)).rejects.toThrow(`To make one: ${eabCommand}`)
  const lacking = { baseUrl: 'https://localhost/acme', now, owners: null, authority }
  await expect(createAcmeServer(lacking)).rejects.toThrow('needs a state directory')
})

test('a validation that a killed server had begun is taken over when its lease ends', async () => {
  const open = createMemory()
  // The first server looks for validations once an hour, so that it never takes this one over itself.
  const idle = { http01Port: 1, validationMilliseconds: 3_600_000 }
  const client = await connect(await start(open(), idle))
  const made = await client.order(['l.localhost'])
  const { challenges } = (await client.post(made.body.authorizations[0], null)).body
  const { token, url } = challenges[0]
  // What a server that dies right after its commit leaves.
  const id = (made.body.authorizations[0] as string).split('/').at(-1) ?? ''
  const store = open()
  const unit = await store.open({ authorization: id })
  const authorization = unit.get('authorization', id)
  if (authorization === undefined) throw new TypeError('no authorization')
  const asked = authorization.challenges.map((one) =>
    one.token === token ? { ...one, requested: Date.now() } : one,
  )
  unit.put('authorization', { ...authorization, challenges: asked })
  let time = Date.now()
  unit.lease(id, (url as string).split('/').at(-1) ?? '', time + 600)
  expect(await unit.commit(null)).toBe('done')
  responder.answers.set(token, await keyAuthorization(client, token))
  await start(open(), { validationMilliseconds: 2_000 }, () => new Date(time))
  const status = async () =>
    (await store.open({ authorization: id })).get('authorization', id)?.challenges[0]
  await expect.poll(status, { timeout: 10_000 }).toMatchObject({ requested: expect.any(Number) })
  expect(await store.claimValidations(time, time + 600, 1)).toEqual([])
  expect((await status())?.validated).toBeUndefined()
  time += 600
  await expect
    .poll(async () => (await status())?.validated, { timeout: 10_000 })
    .toEqual(expect.any(Number))
})
