import { once } from 'node:events'
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { show } from '../../src/doctor/show.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { contentsOf, makeWorld } from '../helpers/authority.ts'
import { openWorkshop } from './certificates.ts'

async function listen(server: Server): Promise<number> {
  onTestFinished(() => void server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** A TLS server, and what clients sent it. */
async function serve(options: TlsOptions): Promise<{ port: number; received: Buffer[] }> {
  const received: Buffer[] = []
  const server = createTlsServer(options, (socket) => {
    socket.on('data', (chunk) => received.push(chunk))
    socket.on('error', () => undefined)
  })
  server.on('tlsClientError', () => undefined)
  return { port: await listen(server), received }
}

const from = 'server'

test('shows what a server presents, and sends nothing', async () => {
  const world = await makeWorld()
  await world.issue('web')
  const [cert, key] = [await contentsOf(world, 'web'), await contentsOf(world, 'web-key')]
  const { port, received } = await serve({ cert, key })
  const target = { from, host: 'localhost', port } as const
  const { certificates } = await show(world.state, target, new Date())
  expect(certificates.map(({ role }) => role)).toEqual(['leaf', 'intermediate'])
  expect(certificates[0]).toMatchObject({ scope: 'local', chain: 'complete' })
  expect(Buffer.concat(received)).toHaveLength(0)
})

test('says that the host is not named, and that the intermediate is left out', async () => {
  const world = await makeWorld()
  await world.issue('web')
  const chain = (await contentsOf(world, 'web')).toString()
  const key = await contentsOf(world, 'web-key')
  const cert = chain.slice(0, chain.indexOf('-----END CERTIFICATE-----') + 26)
  const { port } = await serve({ cert, key })
  const codes = async (host: string) => {
    const { certificates } = await show(world.state, { from, host, port }, new Date())
    return certificates[0]?.findings.map(({ code }) => code)
  }
  expect(await codes('localhost')).toEqual(['missing-intermediate', 'ip-under-constraints'])
  expect(await codes('other.localhost')).toContain('host-not-covered')
})

test('sees weak certificates behind old TLS, and servers that want a client’s', async () => {
  const workshop = await openWorkshop()
  onTestFinished(() => workshop.remove())
  const weak = await workshop.make({
    key: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024'],
    more: ['-sha1'],
  })
  const ciphers = 'DEFAULT:@SECLEVEL=0'
  const old = await serve({ ...weak, ciphers, minVersion: 'TLSv1', maxVersion: 'TLSv1.1' })
  const mutual = { ...weak, ciphers, requestCert: true, maxVersion: 'TLSv1.2' } as const
  const wanting = await serve(mutual)
  for (const { port } of [old, wanting]) {
    const target = { from, host: '127.0.0.1', port } as const
    const { certificates } = await show(await temporaryState(), target, new Date())
    const codes = certificates[0]?.findings.map(({ code }) => code)
    expect(codes).toEqual(expect.arrayContaining(['weak-key', 'weak-signature']))
  }
})

test('says why there is nothing to see', async () => {
  const state = await temporaryState()
  const ask = (port: number) => show(state, { from, host: '127.0.0.1', port }, new Date())
  const plain = createTcpServer((socket) => {
    socket.on('error', () => undefined)
    socket.end('220 ready\r\n')
  })
  await expect(ask(await listen(plain))).rejects.toMatchObject({
    code: 'connect-failed',
    message: expect.stringMatching(/does not seem to speak TLS/),
  })
  const gone = createTcpServer()
  const port = await listen(gone)
  gone.close()
  await expect(ask(port)).rejects.toMatchObject({
    code: 'connect-failed',
    message: `Nothing listens on 127.0.0.1:${port}.`,
  })
})
