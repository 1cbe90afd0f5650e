import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startAcme, type Acme } from './harness.ts'
import { RawClient } from './raw.ts'
import { obtain, startResponder, type Responder } from './responder.ts'

let acme: Acme
let responder: Responder
let client: RawClient
beforeAll(async () => {
  responder = await startResponder()
  acme = await startAcme({ options: { http01Port: responder.port } })
  client = await new RawClient(acme.directory, acme.root).start()
})
afterAll(async () => {
  client.close()
  await acme.close()
  await responder.close()
})

describe('orders', () => {
  it('lead from a name to a chain that ends at the root', async () => {
    const { chain } = await obtain(client, ['app.localhost', '127.0.0.1'], responder)
    const [leaf, intermediate] = chain
      .split(/(?=-----BEGIN)/)
      .map((pem) => new X509Certificate(pem))
    expect(leaf?.subjectAltName).toBe('DNS:app.localhost, IP Address:127.0.0.1')
    expect(intermediate !== undefined && leaf?.verify(intermediate.publicKey)).toBe(true)
    expect(intermediate?.verify(new X509Certificate(acme.root).publicKey)).toBe(true)
  })
})
