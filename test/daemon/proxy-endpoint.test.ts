import { once } from 'node:events'
import { request } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { startControlServer } from '../../src/daemon/control-server.ts'
import { serveRoutes } from '../../src/daemon/launch.ts'
import { RootlingError } from '../../src/errors.ts'
import { writeRunFile } from '../../src/home/run-file.ts'
import { portsFor, startProxy, type ProxyPorts } from '../../src/daemon/endpoints/proxy.ts'
import { readSettings } from '../../src/daemon/settings.ts'
import { addRoute, removeRoutes } from '../../src/proxy/kept-routes.ts'
import { freePort } from '../helpers/free-port.ts'
import { temporaryState } from '../helpers/temporary.ts'

const route = {
  host: 'shop.localhost',
  path: '/',
  to: 'http://localhost:3000',
  changeOrigin: false,
  owner: { kind: 'hand' },
} as const

async function openProxy(ports: ProxyPorts, routed = true) {
  const state = await temporaryState()
  await ensureAuthority(state, new Date())
  if (routed) await addRoute(state, route)
  const lines: string[] = []
  const log = (line: string) => void lines.push(line)
  const settings = await readSettings(state)
  const now = () => new Date()
  const options = { state, settings, now, log, env: {}, daemonStatus: () => ({}) }
  const proxy = await startProxy(options, ports)
  onTestFinished(() => proxy.close())
  return { state, proxy, lines }
}

/** A port of 127.0.0.1 that another program has. */
async function takenPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

test('by default 443 is tried first and 14443 then, and plain HTTP is redirected', () => {
  expect(portsFor(443)).toEqual({ https: [443, 14_443], http: 80, isGiven: false })
  expect(portsFor(8443)).toEqual({ https: [8443], http: null, isGiven: true })
})

test('where the port is taken the next one serves, and the status says why and what to do', async () => {
  const [taken, free] = [await takenPort(), await freePort()]
  const { proxy } = await openProxy({ https: [taken, free], http: null, isGiven: false })
  expect(proxy.status()).toEqual({
    port: free,
    reason: `Another program already listens on 127.0.0.1:${taken}.`,
    hint: 'End that program, then: rootling daemon restart',
    routes: 1,
    redirectPort: null,
  })
})

test('where no port can be had the daemon goes on, and says so', async () => {
  const taken = await takenPort()
  const { proxy, lines } = await openProxy({ https: [taken, taken], http: null, isGiven: false })
  const reason = `Another program already listens on 127.0.0.1:${taken}.`
  expect(proxy.status()).toMatchObject({ port: null, reason, routes: 1 })
  expect(lines).toEqual([`proxy: ${reason}`])
  const given = openProxy({ https: [taken], http: null, isGiven: true })
  await expect(given).rejects.toMatchObject({ code: 'port-in-use' })
})

test('it listens only while there is a route, unless its port was given', async () => {
  const port = await freePort()
  const { proxy, state } = await openProxy({ https: [port], http: null, isGiven: false }, false)
  expect(proxy.status()).toMatchObject({ port: null, reason: null, routes: 0 })
  await addRoute(state, route)
  expect(await proxy.reload()).toMatchObject({ port, routes: 1 })
  await removeRoutes(state, () => true)
  expect(await proxy.reload()).toMatchObject({ port: null, reason: null, routes: 0 })
  await proxy.close()
  const given = await openProxy({ https: [port], http: null, isGiven: true }, false)
  expect(given.proxy.status()).toMatchObject({ port, routes: 0 })
})

test('the name of a route has the same certificate after a restart, and any other a new one', async () => {
  const port = await freePort()
  const ports = { https: [port], http: null, isGiven: false }
  const { proxy, state } = await openProxy(ports)
  const serials = (): Promise<string[]> =>
    Promise.all(['shop.localhost', 'other.localhost'].map((name) => serialAt(port, name)))
  const [kept, other] = await serials()
  expect(await serials()).toEqual([kept, other])
  await proxy.close()
  const settings = await readSettings(state)
  const now = () => new Date()
  const options = { state, settings, now, log: () => undefined, env: {}, daemonStatus: () => ({}) }
  const next = await startProxy(options, ports)
  onTestFinished(() => next.close())
  const [again, another] = await serials()
  expect(again).toBe(kept)
  expect(another).not.toBe(other)
})

/** The serial number of the certificate that a client is shown who asks for a name. */
async function serialAt(port: number, servername: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, servername, rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const { serialNumber } = socket.getPeerCertificate()
  socket.destroy()
  return serialNumber
}

test('plain HTTP is redirected where its port can be had, and nobody is told where not', async () => {
  const [port, http] = [await freePort(), await freePort()]
  const { proxy } = await openProxy({ https: [port], http, isGiven: false })
  const ask = (headers: Record<string, string>) =>
    new Promise<unknown[]>((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port: http, path: '/a?b', headers }, (answer) => {
        answer.resume()
        resolve([answer.statusCode, answer.headers.location])
      })
      asked.once('error', reject)
      asked.end()
    })
  expect(proxy.status()).toMatchObject({ port, redirectPort: http })
  const target = `https://shop.localhost:${port}/a?b`
  expect(await ask({ Host: 'shop.localhost' })).toEqual([308, target])
  expect(await ask({ Host: `shop.localhost:${http}` })).toEqual([308, target])
  expect(await ask({ Host: 'a b' })).toEqual([400, undefined])
  await proxy.close()
  const taken = await takenPort()
  const without = await openProxy({ https: [port], http: taken, isGiven: false })
  expect(without.proxy.status()).toMatchObject({ port, reason: null, redirectPort: null })
})

test('a daemon of a release without a proxy is told from one that fails', async () => {
  const state = await temporaryState()
  await ensureAuthority(state, new Date())
  const token = 'a'.repeat(64)
  const address = join(state.path, 'old.sock')
  let status: object = { pid: process.pid }
  const control = await startControlServer({
    address,
    token,
    handle: async (method) => {
      if (method === 'status') return status
      throw new RootlingError('internal', 'It does not know that.')
    },
  })
  onTestFinished(() => control.close())
  const since = new Date().toISOString()
  await writeRunFile(state, { address, token, pid: process.pid, since, revocationUrl: null })
  const asking = () => serveRoutes({ state, script: '', env: {} })
  await expect(asking()).rejects.toMatchObject({
    code: 'connect-failed',
    message: 'The daemon is of a release without a proxy.',
    hint: 'rootling daemon restart',
  })
  status = { ...status, proxy: null }
  await expect(asking()).rejects.toMatchObject({ code: 'internal' })
})
