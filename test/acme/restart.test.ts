import { X509Certificate } from 'node:crypto'
import { appendFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createAcmeAuthority } from '../../src/acme/acme-authority.ts'
import { RootlingError } from '../../src/errors.ts'
import { openNonces } from '../../src/acme/store/nonces.ts'
import { readInventory } from '../../src/storage/files/record.ts'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { certIdOf } from './cert-id.ts'
import { startAcme, type Acme, type AcmeSetup } from './harness.ts'
import { expectProblem } from './problem.ts'
import { createKey, csrFor, RawClient } from './raw.ts'
import { authorize, keyAuthorization, obtain, startResponder, type Responder } from './responder.ts'

let state: StateDirectory
let responder: Responder
beforeEach(async () => {
  state = await temporaryState()
  responder = await startResponder()
})
afterEach(async () => {
  await responder.close()
})

async function start(setup: AcmeSetup = {}): Promise<Acme> {
  return startAcme({ state, ...setup, options: { http01Port: responder.port, ...setup.options } })
}

describe('after a restart', () => {
  test('accounts, orders, certificates and changed keys are as they were', async () => {
    const first = await start()
    const client = await new RawClient(first.directory, first.root).start()
    const { order, certificate, chain } = await obtain(client, ['a.localhost'], responder)
    const pending = await client.order(['b.localhost'])
    await client.post(pending.body.authorizations[0], { status: 'deactivated' })
    const ended = await new RawClient(first.directory, first.root).start()
    await ended.post(ended.kid, { status: 'deactivated' })
    const used = await client.nonce()
    expect((await client.post(order, null, { header: { nonce: used } })).status).toBe(200)
    const unused = await client.nonce()
    const keyBefore = await first.server.createEabKey()
    await first.close()

    const second = await start({ port: first.port, options: { eabRequired: true } })
    client.agent.destroy()
    onTestFinished(() => second.close())
    expectProblem(await client.post(order, null, { header: { nonce: used } }), 'badNonce', 400)
    const answer = await client.post(order, null, { header: { nonce: unused } })
    expect([answer.status, answer.body.status]).toEqual([200, 'valid'])
    expect((await client.post(certificate, null)).text).toBe(chain)
    const location = pending.headers['location'] ?? ''
    expect((await client.post(location, null)).body.status).toBe('invalid')
    expectProblem(await ended.post(ended.kid, null), 'unauthorized', 403)
    expect((await client.order(['c.localhost'])).status).toBe(201)
    expect(keyBefore.kid).toMatch(/^[\w-]+$/)
    client.close()
    ended.close()
  })

  test('a validation that was going on is begun anew', async () => {
    const silent = await startResponder(() => undefined)
    onTestFinished(() => silent.close())
    const first = await start({ options: { http01Port: silent.port, answerMilliseconds: 1 } })
    const client = await new RawClient(first.directory, first.root).start()
    const made = await client.order(['r.localhost'])
    const { body } = await client.post(made.body.authorizations[0], null)
    const { token, url, type } = body.challenges[0]
    expect(type).toBe('http-01')
    responder.answers.set(token, await keyAuthorization(client, token))
    expect((await client.post(url, {})).body.status).toBe('processing')
    await first.close()

    const second = await start({ port: first.port })
    client.agent.destroy()
    onTestFinished(() => second.close())
    const status = async () => (await client.post(made.body.authorizations[0], null)).body.status
    await expect.poll(status).toBe('valid')
    client.close()
  })

  test('the unfinished last line of a journal is passed over, and any other is named', async () => {
    const first = await start()
    const client = await new RawClient(first.directory, first.root).start()
    await first.close()
    const path = join(state.path, 'acme', 'journal')
    await appendFile(path, '["account",{"id":"half')
    const second = await start({ port: first.port })
    client.agent.destroy()
    expect((await client.post(client.kid, null)).status).toBe(200)
    await second.close()
    client.close()
    await appendFile(path, 'damaged\n')
    await expect(start()).rejects.toMatchObject({
      code: 'corrupt-state',
      message: expect.stringMatching(/^Line \d+ of .* is damaged\.$/),
    })
  })
})

test('renewal information outlives the order', async () => {
  const first = await start()
  const client = await new RawClient(first.directory, first.root).start()
  const { chain } = await obtain(client, ['forgotten.localhost'], responder)
  await first.close()
  await rm(join(state.path, 'acme', 'journal'))
  const second = await start({ port: first.port })
  client.agent.destroy()
  onTestFinished(async () => {
    client.close()
    await second.close()
  })
  const url = `${client.to('renewalInfo')}/${certIdOf(new X509Certificate(chain))}`
  const { status, body } = await client.send('GET', url)
  expect(status).toBe(200)
  expect(Date.parse(body.suggestedWindow.start)).toBeGreaterThan(Date.now() + 59 * 86_400_000)
})

describe('a certificate that was signed', () => {
  /** Dies, as far as the order can tell, before or after the certificate stands in the record. */
  async function die(when: 'before' | 'after') {
    const real = createAcmeAuthority({ storage: fileStorage(state), now: () => new Date() })
    const dying = {
      ...real,
      async sign(request: Parameters<typeof real.sign>[0]) {
        const signed = await real.sign(request)
        const write = async (): Promise<never> => {
          if (when === 'after') await signed.recording.write()
          throw new Error('killed')
        }
        return { ...signed, recording: { ...signed.recording, write } }
      },
      find: () => Promise.reject(new Error('killed')),
    }
    const first = await start({ authority: dying })
    const client = await new RawClient(first.directory, first.root).start()
    const made = await client.order(['k.localhost'])
    await authorize(client, made, responder)
    const csr = csrFor(['k.localhost'])
    expectProblem(await client.post(made.body.finalize, { csr }), 'serverInternal', 500)
    await expect(first.close()).rejects.toThrow('errors of its own')
    const second = await start({ port: first.port })
    client.agent.destroy()
    onTestFinished(async () => {
      client.close()
      await second.close()
    })
    const location = made.headers['location'] ?? ''
    return { client, finalize: made.body.finalize as string, csr, location }
  }
  const recorded = async () =>
    (await readInventory(state)).certificates.filter((one) =>
      one.identifiers.some(({ value }) => value === 'k.localhost'),
    )

  test('and not recorded never existed: the order is ready, and gives another one', async () => {
    const { client, finalize, csr, location } = await die('before')
    expect(await recorded()).toEqual([])
    expect((await client.post(location, null)).body.status).toBe('ready')
    expect((await client.post(finalize, { csr })).body.status).toBe('valid')
    expect(await recorded()).toHaveLength(1)
  })

  test('and recorded belongs to its order', async () => {
    const { client, location } = await die('after')
    expect(await recorded()).toHaveLength(1)
    const { body } = await client.post(location, null)
    expect(body.status).toBe('valid')
    expect((await client.post(body.certificate, null)).text).toContain('BEGIN CERTIFICATE')
  })
})

test('an order whose lock is held for too long may be finalized later', async () => {
  const real = createAcmeAuthority({ storage: fileStorage(state), now: () => new Date() })
  let held = true
  const acme = await start({
    authority: {
      ...real,
      async sign(request) {
        if (held) throw new RootlingError('locked', 'Another rootling has held lock for 30 s.')
        return real.sign(request)
      },
    },
  })
  const client = await new RawClient(acme.directory, acme.root).start()
  onTestFinished(async () => {
    client.close()
    await acme.close().catch(() => undefined)
  })
  const made = await client.order(['l.localhost'])
  await authorize(client, made, responder)
  const csr = csrFor(['l.localhost'])
  const refused = await client.post(made.body.finalize, { csr })
  expectProblem(refused, 'serverInternal', 503)
  expect(refused.headers['retry-after']).toBe('10')
  expect((await client.post(made.headers['location'] ?? '', null)).body.status).toBe('ready')
  held = false
  expect((await client.post(made.body.finalize, { csr })).body.status).toBe('valid')
})

test('a certificate that was signed before the scopes changed gives way to another', async () => {
  const real = createAcmeAuthority({ storage: fileStorage(state), now: () => new Date() })
  const signed: string[] = []
  const acme = await start({
    authority: {
      ...real,
      async sign(request) {
        const one = await real.sign(request)
        signed.push(one.serialNumber)
        const changed = { ...one.recording, write: () => Promise.resolve(false) }
        return signed.length === 1 ? { ...one, recording: changed } : one
      },
    },
  })
  const client = await new RawClient(acme.directory, acme.root).start()
  onTestFinished(async () => {
    client.close()
    await acme.close()
  })
  const { chain } = await obtain(client, ['changed.localhost'], responder)
  const { serialNumber } = new X509Certificate(chain)
  expect(signed).toEqual([expect.any(String), serialNumber.toLowerCase()])
  const { certificates } = await readInventory(state)
  expect(certificates.map((one) => one.serialNumber)).not.toContain(signed[0])
})

test('a refusal for want of a key names the authority whose key is wanted', async () => {
  const named = { ...state, authority: 'work' }
  const acme = await start({ state: named, options: { eabRequired: true } })
  onTestFinished(() => acme.close())
  const client = new RawClient(acme.directory, acme.root)
  await expect(client.start()).rejects.toThrow('rootling acme eab create --ca work')
  client.close()
})

describe('nonces', () => {
  test('stay good over many restarts, once each', async () => {
    const made: string[] = []
    for (let i = 0; i < 5; i++) {
      const nonces = await openNonces(state)
      made.push(nonces.make(), nonces.make())
      await nonces.close()
    }
    const nonces = await openNonces(state)
    for (const nonce of made.slice(0, 6)) expect(nonces.use(nonce)).toBe(true)
    await nonces.close()
    const again = await openNonces(state)
    expect(made.map((nonce) => again.use(nonce))).toEqual([
      ...Array.from({ length: 6 }, () => false),
      ...Array.from({ length: 4 }, () => true),
    ])
    await again.close()
  })

  test('of another authority are refused', async () => {
    const other = await temporaryState()
    const [ours, theirs] = [await openNonces(state), await openNonces(other)]
    expect(ours.use(theirs.make())).toBe(false)
    await Promise.all([ours.close(), theirs.close()])
  })
})

test('keeps its files for the owner alone', async () => {
  const acme = await start()
  const client = await new RawClient(acme.directory, acme.root, createKey('EdDSA')).start()
  client.close()
  await acme.close()
  const modes = await Promise.all(
    ['acme', 'acme/journal', 'acme/nonces'].map((name) => stat(join(state.path, name))),
  )
  expect(modes.map(({ mode }) => (mode & 0o777).toString(8))).toEqual(['700', '600', '600'])
})
