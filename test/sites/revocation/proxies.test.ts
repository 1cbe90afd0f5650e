import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { ensureAuthority } from '../../../src/authority/create.ts'
import { defaultLimits } from '../../../src/server/limits.ts'
import { temporaryState } from '../../helpers/temporary.ts'
import { startResponder } from './responder.ts'

/** Connects, and sends a text. */
async function send(port: number, text: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.write(text)
  return socket
}

/** Returns what comes until the connection ends. */
async function answer(port: number, text: string): Promise<string> {
  const socket = await send(port, text)
  let answered = ''
  socket.on('data', (chunk) => (answered += chunk.toString('latin1')))
  await once(socket, 'close')
  return answered
}

const header = (client: string): string => `PROXY TCP4 ${client} 192.0.2.1 50000 80\r\n`
const ask = 'GET /local.crl HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

async function startBehind(proxies: readonly string[]): Promise<number> {
  const state = await temporaryState()
  await ensureAuthority(state, new Date())
  return (await startResponder(state, undefined, { proxies })).port
}

test('a responder behind a balancer takes its header, and nothing without one', async () => {
  const port = await startBehind(['127.0.0.0/30'])
  expect(await answer(port, header('192.0.2.7') + ask)).toMatch(/^HTTP\/1\.1 200 /)
  expect(await answer(port, `PROXY UNKNOWN\r\n${ask}`)).toMatch(/^HTTP\/1\.1 200 /)
  expect(await answer(port, ask)).toBe('')
})

test('a responder reads no header of another address', async () => {
  const port = await startBehind(['192.0.2.1'])
  expect(await answer(port, ask)).toMatch(/^HTTP\/1\.1 200 /)
  expect(await answer(port, header('192.0.2.7') + ask)).toMatch(/^HTTP\/1\.1 400 /)
})

test('a client behind a balancer that opens many connections closes its own', async () => {
  const port = await startBehind(['127.0.0.1'])
  const other = await send(port, header('192.0.2.8'))
  const own: Socket[] = []
  const isClosed = () => own.filter(({ destroyed }) => destroyed).length
  for (let n = 0; n <= defaultLimits.connectionsPerAddress; n++) {
    const socket = await send(port, header('192.0.2.7'))
    socket.resume()
    own.push(socket)
  }
  await expect.poll(isClosed, { timeout: 10_000 }).toBe(1)
  let answered = ''
  other.on('data', (chunk) => (answered += chunk.toString('latin1'))).write(ask)
  await once(other, 'close')
  expect(answered).toMatch(/^HTTP\/1\.1 200 /)
})
