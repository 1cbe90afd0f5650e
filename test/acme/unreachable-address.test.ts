import { once } from 'node:events'
import { connect } from 'node:net'
import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { resolveOptions } from '../../src/acme/options.ts'
import { createValidator } from '../../src/acme/validation/validator.ts'
import { startAlpnServer } from './alpn-server.ts'
import { startDnsServer } from './dns-server.ts'
import { startResponder } from './responder.ts'

/** Listens, but takes no connection: once its queue is full, Linux drops what comes. */
async function startSilence(host: string, port: number): Promise<void> {
  const listening = `
    const { parentPort, workerData } = require('node:worker_threads')
    require('node:net').createServer().listen({ ...workerData, backlog: 1 }, () => {
      parentPort.postMessage('listening')
      setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
    })`
  const worker = new Worker(listening, { eval: true, workerData: { host, port } })
  await once(worker, 'message')
  const sockets = Array.from({ length: 4 }, () => connect(port, host).on('error', () => undefined))
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await worker.terminate()
  })
  await Promise.all(sockets.slice(0, 2).map((socket) => once(socket, 'connect')))
}

test.skipIf(process.platform !== 'linux').each(['http-01', 'tls-alpn-01'] as const)(
  'an address that drops packets leaves %s time for the next one',
  async (type) => {
    const dns = await startDnsServer()
    onTestFinished(() => dns.close())
    dns.a.set('two.test', '127.0.0.2 127.0.0.1')
    const responder = await startResponder()
    onTestFinished(() => responder.close())
    const [token, thumbprint] = ['token', 'thumbprint']
    responder.answers.set(token, `${token}.${thumbprint}`)
    const alpn = await startAlpnServer()
    onTestFinished(() => alpn.close())
    const identifier = { type: 'dns', value: 'two.test' } as const
    alpn.shows = { names: [identifier], keyAuthorization: `${token}.${thumbprint}` }
    await startSilence('127.0.0.2', type === 'http-01' ? responder.port : alpn.port)
    const validator = createValidator(
      resolveOptions({
        dnsResolver: dns.address,
        allowRemote: true,
        http01Port: responder.port,
        tlsAlpn01Port: alpn.port,
        validationMilliseconds: 60_000,
      }),
      null,
    )
    onTestFinished(() => validator.close())
    const challenge = { type, token }
    const work = { challenge, identifier, thumbprint, bound: true }
    await expect(validator.validate('one', work)).resolves.toBeUndefined()
  },
  100_000,
)
