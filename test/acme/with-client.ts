import { startAcme, type Acme } from './harness.ts'
import { RawClient } from './raw.ts'
import { startResponder, type Responder } from './responder.ts'

/** A server that offers every challenge, a client with an account, and the client's answers to http-01. */
export async function startWithClient(): Promise<{
  acme: Acme
  responder: Responder
  client: RawClient
  close(): Promise<void>
}> {
  const responder = await startResponder()
  const options = { http01Port: responder.port, dnsResolver: '127.0.0.1:1' }
  const acme = await startAcme({ options })
  const client = await new RawClient(acme.directory, acme.root).start()
  return {
    acme,
    responder,
    client,
    async close() {
      client.close()
      await acme.close()
      await responder.close()
    },
  }
}
