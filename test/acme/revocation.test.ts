import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { issue } from '../../src/certificates/issue.ts'
import { beginRotation, switchRotation } from '../../src/trust/rotate.ts'
import { readInventory } from '../../src/storage/files/record.ts'
import { certIdOf } from './cert-id.ts'
import { startAcme, type Acme } from './harness.ts'
import { expectProblem } from './problem.ts'
import { createKey, csrFor, RawClient, type RawKey } from './raw.ts'
import { authorize, obtain, startResponder, type Responder } from './responder.ts'

let acme: Acme
let responder: Responder
let client: RawClient
const clients: RawClient[] = []
beforeAll(async () => {
  responder = await startResponder()
  acme = await startAcme({ options: { http01Port: responder.port } })
  client = await open()
})
afterAll(async () => {
  for (const one of clients) one.close()
  await acme.close()
  await responder.close()
})

async function open(): Promise<RawClient> {
  const made = await new RawClient(acme.directory, acme.root).start()
  clients.push(made)
  return made
}

async function certificate(names = ['r.localhost'], key: RawKey = createKey()) {
  const { chain } = await obtain(client, names, responder, {}, csrFor(names, key))
  const leaf = new X509Certificate(chain)
  return { key, leaf, certificate: leaf.raw.toString('base64url') }
}

async function reasonOf(leaf: X509Certificate): Promise<string | undefined> {
  const { revocations } = await readInventory(acme.state)
  return revocations.get(leaf.serialNumber.toLowerCase())?.reason
}

describe('revocation', () => {
  test('by the account that ordered stands in the record, once', async () => {
    const { certificate: der, leaf } = await certificate()
    const url = client.to('revokeCert')
    const answer = await client.post(url, { certificate: der, reason: 4 })
    expect([answer.status, answer.text]).toEqual([200, ''])
    expect(await reasonOf(leaf)).toBe('superseded')
    expectProblem(await client.post(url, { certificate: der }), 'alreadyRevoked', 400)
  })

  test("by the certificate's own key needs no account", async () => {
    const { certificate: der, leaf, key } = await certificate()
    const url = client.to('revokeCert')
    const other = { key: createKey() }
    expectProblem(await client.postWithKey(url, { certificate: der }, other), 'unauthorized', 403)
    const answer = await client.postWithKey(url, { certificate: der, reason: 1 }, { key })
    expect(answer.status).toBe(200)
    expect(await reasonOf(leaf)).toBe('keyCompromise')
  })

  test('by another account takes authorizations for all names', async () => {
    const { certificate: der, leaf } = await certificate(['r1.localhost', 'r2.localhost'])
    const other = await open()
    const url = client.to('revokeCert')
    expectProblem(await other.post(url, { certificate: der }), 'unauthorized', 403)
    await authorize(other, await other.order(['r1.localhost']), responder)
    expectProblem(await other.post(url, { certificate: der }), 'unauthorized', 403)
    await authorize(other, await other.order(['r2.localhost']), responder)
    expect((await other.post(url, { certificate: der })).status).toBe(200)
    expect(await reasonOf(leaf)).toBe('unspecified')
  })

  test('by a deactivated authorization is refused', async () => {
    const { certificate: der } = await certificate(['r3.localhost'])
    const other = await open()
    const order = await other.order(['r3.localhost'])
    await authorize(other, order, responder)
    await other.post(order.body.authorizations[0], { status: 'deactivated' })
    expectProblem(
      await other.post(client.to('revokeCert'), { certificate: der }),
      'unauthorized',
      403,
    )
  })

  test('takes the reasons that a leaf can have', async () => {
    const { certificate: der, leaf } = await certificate()
    for (const reason of [2, 6, 7, 8, 10, 99, -1, 1.5, '1', null, {}])
      expectProblem(
        await client.post(client.to('revokeCert'), { certificate: der, reason }),
        'badRevocationReason',
        400,
      )
    expect(await reasonOf(leaf)).toBeUndefined()
  })

  test('of what is no certificate, or of another authority, is refused', async () => {
    const url = client.to('revokeCert')
    const whole = Buffer.from((await certificate()).certificate, 'base64url')
    const trailing = Buffer.concat([whole, Buffer.of(0)]).toString('base64url')
    for (const der of [
      'AAAA',
      '',
      '=',
      7,
      undefined,
      trailing,
      whole.subarray(9).toString('base64url'),
    ])
      expectProblem(await client.post(url, { certificate: der }), 'malformed', 400)
    expectProblem(await client.post(url, null), 'malformed', 400)
    const foreign = await startAcme()
    const root = new X509Certificate(foreign.root).raw.toString('base64url')
    await foreign.close()
    expectProblem(await client.post(url, { certificate: root }), 'malformed', 404)
  })

  test('of a certificate that the command line issued is for its own key', async () => {
    const names = { names: ['cli.localhost'], files: null }
    const { chain, key } = await issue(acme.state, names, new Date())
    const der = new X509Certificate(chain).raw.toString('base64url')
    const url = client.to('revokeCert')
    expectProblem(await client.post(url, { certificate: der }), 'malformed', 404)
    const publicKey = createPublicKey(key ?? '')
    const jwk = publicKey.export({ format: 'jwk' }) as RawKey['jwk']
    const own = { privateKey: createPrivateKey(key ?? ''), publicKey, jwk, alg: 'ES256' }
    expect((await client.postWithKey(url, { certificate: der }, { key: own })).status).toBe(200)
  })
})

describe('renewal information', () => {
  const info = (leaf: X509Certificate) =>
    client.send('GET', `${client.to('renewalInfo')}/${certIdOf(leaf)}`)

  test('suggests the last third of the lifetime, and to ask again in whole seconds', async () => {
    const { leaf } = await certificate()
    const { status, body, headers } = await info(leaf)
    expect(status).toBe(200)
    expect(headers['retry-after']).toMatch(/^(?:1[89]|2[0-4])\d{3}$|^25[01]\d\d$/)
    const { start, end } = body.suggestedWindow
    expect(Date.parse(start)).toBeGreaterThan(Date.now() + 59 * 86_400_000)
    expect(Date.parse(end)).toBeGreaterThan(Date.parse(start))
    expect(Date.parse(end)).toBeLessThan(Date.parse(leaf.validTo))
  })

  test('suggests now for what was revoked', async () => {
    const { leaf, certificate: der } = await certificate()
    await client.post(client.to('revokeCert'), { certificate: der })
    expect(Date.parse((await info(leaf)).body.suggestedWindow.end)).toBeLessThan(Date.now())
  })

  test('is told for IDs of certificates alone', async () => {
    const url = client.to('renewalInfo')
    for (const id of ['none', 'a.b.c', 'AA.'])
      expectProblem(await client.send('GET', `${url}/${id}`), 'malformed', 400)
    expectProblem(await client.send('GET', `${url}/AAAA.AAAA`), 'malformed', 404)
    const { leaf } = await certificate()
    const [issuer, serialNumber] = certIdOf(leaf).split('.')
    expectProblem(await client.send('GET', `${url}/${issuer}.AAAA`), 'malformed', 404)
    // An issuer that is not the current one may have been replaced by a rotation: renew at once.
    const { status, body } = await client.send('GET', `${url}/AAAA.${serialNumber}`)
    expect(status).toBe(200)
    expect(Date.parse(body.suggestedWindow.end)).toBeLessThan(Date.now())
  })

  test('is told for a certificate that no order here has', async () => {
    const names = { names: ['cli.localhost'], files: null }
    const leaf = new X509Certificate((await issue(acme.state, names, new Date())).chain)
    const { status, body } = await info(leaf)
    expect(status).toBe(200)
    expect(Date.parse(body.suggestedWindow.start)).toBeGreaterThan(Date.now())
  })

  test('lets one order replace a certificate, of the same account and a name of it', async () => {
    const { leaf } = await certificate(['p.localhost'])
    const replaces = certIdOf(leaf)
    const other = await open()
    expectProblem(await other.order(['p.localhost'], { replaces }), 'unauthorized', 403)
    expectProblem(await client.order(['q.localhost'], { replaces }), 'malformed', 400)
    const made = await client.order(['p.localhost', 'q.localhost'], { replaces })
    expect(made.body.replaces).toBe(replaces)
    await obtain(client, ['p.localhost'], responder, { replaces })
    expectProblem(await client.order(['p.localhost'], { replaces }), 'alreadyReplaced', 409)
  })

  test('suggests now when the issuer was rotated', async () => {
    const { leaf } = await certificate()
    await switchRotation(acme.state, await beginRotation(acme.state, 'local', new Date()))
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    expect(Date.parse((await info(leaf)).body.suggestedWindow.end)).toBeLessThan(Date.now())
    const fresh = await certificate()
    expect(Date.parse((await info(fresh.leaf)).body.suggestedWindow.end)).toBeGreaterThan(
      Date.now(),
    )
  })
})
