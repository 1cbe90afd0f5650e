import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { request } from 'node:https'
import { connect } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { issue } from '../../src/certificates/issue.ts'
import { revoke } from '../../src/certificates/revoke.ts'
import { openSecuredSite } from '../../src/sites/secured-site.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'
import { freePort } from '../helpers/free-port.ts'
import { hasIpv6Loopback } from '../helpers/https-server.ts'
import { temporaryState } from '../helpers/temporary.ts'

const now = (): Date => new Date()
const loopback = hasIpv6Loopback() ? ['127.0.0.1', '::1'] : ['127.0.0.1']

test('answers on both loopback addresses, and on each only clients with a certificate', async () => {
  const state = await temporaryState()
  onTestFinished(() => rm(state.path, { recursive: true, force: true }))
  const { scope } = await ensureAuthority(state, now())
  const ca = scope.root.toString()
  const alice = { names: ['alice@example.test'], purpose: 'client', files: null } as const
  const { chain, key } = await issue(state, alice, now())
  const refusals: string[] = []
  const port = await freePort()
  const site = await openSecuredSite({
    state,
    port,
    handler: (_, response) => void response.end('welcome'),
    clients: { optional: false },
    now,
    onConnectionError: ({ message }) => void refusals.push(message),
  })
  onTestFinished(() => site.close({ drainMilliseconds: 0 }))
  const hosts = ['localhost', '127.0.0.1', '[::1]']
  expect(site.urls).toEqual(hosts.map((host) => `https://${host}:${port}/`))

  /** The body, or the code of what broke. */
  const visit = (host: string, client: { cert?: string; key?: string }) =>
    new Promise<string>((resolve) => {
      const asked = request({ ...client, host, port, ca, agent: false })
      asked.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      asked.on('response', (response) =>
        response.setEncoding('utf8').once('data', (body: string) => resolve(body)),
      )
      asked.end()
    })
  for (const host of loopback) {
    expect(await visit(host, { cert: chain, key: key ?? '' })).toBe('welcome')
    expect(await visit(host, {})).toMatch(/ALERT_CERTIFICATE_REQUIRED$/)
  }
  expect(refusals).toEqual(loopback.map(() => 'the client sent no certificate.'))
})

test('leaves no server behind when its port is taken', async () => {
  const state = await temporaryState()
  onTestFinished(() => rm(state.path, { recursive: true, force: true }))
  await ensureAuthority(state, now())
  const port = await freePort()
  const options = { state, port, handler: () => undefined, now }
  const first = await openSecuredSite({ ...options, host: loopback.at(-1) })
  await expect(openSecuredSite(options)).rejects.toMatchObject({ code: 'port-in-use' })
  await first.close()
  const second = await openSecuredSite(options)
  await second.close()
})

test('takes one free port on both loopback addresses', async () => {
  const state = await temporaryState()
  await ensureAuthority(state, now())
  const site = await openSecuredSite({ state, port: 0, handler: () => undefined, now })
  onTestFinished(() => site.close({ drainMilliseconds: 0 }))
  const urls = ['localhost', ...loopback.map((host) => (host === '::1' ? '[::1]' : host))]
  expect(site.urls).toEqual(urls.map((host) => `https://${host}:${site.port}/`))
  for (const host of loopback) {
    const socket = connect({ host, port: site.port, rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    socket.destroy()
  }
})

test.each(['certificateHold', 'keyCompromise'] as const)(
  'shows other certificates once its own are revoked (%s), also those on demand',
  async (reason) => {
    const state = await temporaryState()
    await ensureAuthority(state, now())
    const site = await openSecuredSite({
      ...{ state, port: 0, handler: () => undefined, now },
      onDemand: true,
    })
    onTestFinished(() => site.close({ drainMilliseconds: 0 }))
    const shown = async (servername: string): Promise<string> => {
      const at = { host: '127.0.0.1', port: site.port, rejectUnauthorized: false }
      const socket = connect({ ...at, servername })
      await once(socket, 'secureConnect')
      const { serialNumber } = socket.getPeerCertificate()
      socket.destroy()
      return serialNumber.toLowerCase()
    }
    for (const name of ['localhost', 'app.test']) {
      const target = await shown(name)
      expect(await shown(name)).toBe(target)
      await revoke(fileStorage(state), { target, reason, now: now() })
      await expect.poll(() => shown(name), { timeout: 5_000 }).not.toBe(target)
      const next = await shown(name)
      expect(await shown(name)).toBe(next)
    }
  },
)

test('names only the URLs at which it answers', async () => {
  const state = await temporaryState()
  await ensureAuthority(state, now())
  const urlsOn = async (host: string, names: string[] = []) => {
    const options = { state, port: 0, host, names, handler: () => undefined, now }
    const site = await openSecuredSite({ ...options, own: ['127.0.0.1', '127.0.0.2', '::1'] })
    await site.close({ drainMilliseconds: 0 })
    return site.urls.map((url) => new URL(url).hostname)
  }
  expect(await urlsOn('127.0.0.1')).toEqual(['localhost', '127.0.0.1'])
  expect(await urlsOn('127.0.0.2')).toEqual(['127.0.0.2'])
  if (loopback.includes('::1')) expect(await urlsOn('::1')).toEqual(['localhost', '[::1]'])
  expect(await urlsOn('127.0.0.1', ['app.test', '10.1.2.3'])).toEqual(['app.test'])
  expect(await urlsOn('127.0.0.1', ['10.1.2.3'])).toEqual(['10.1.2.3'])
})

test('on every address, names those of the network that its authority may sign', async () => {
  const state = await temporaryState()
  const { scope } = await ensureAuthority(state, now())
  const own = ['127.0.0.1', '192.168.7.8', '203.0.113.9', '192.168.7.8', '::1', 'fd12::9']
  const options = { state, port: 0, handler: () => undefined, now, own }
  const open = async (host: string) => {
    const site = await openSecuredSite({ ...options, host })
    onTestFinished(() => site.close({ drainMilliseconds: 0 }))
    return site
  }
  const site = await open('0.0.0.0')
  const hosts = (urls: readonly string[]) => urls.map((url) => new URL(url).hostname)
  expect(hosts(site.urls)).toEqual(['localhost', '127.0.0.1', '192.168.7.8'])
  expect(site.unsigned).toEqual(['203.0.113.9'])
  // A client that checks the address accepts it.
  const shown = await new Promise<string | undefined>((resolve, reject) => {
    const ca = scope.root.toString()
    const socket = connect({ port: site.port, host: '127.0.0.1', ca }, () => {
      resolve(socket.getPeerX509Certificate()?.checkIP('192.168.7.8'))
      socket.destroy()
    }).on('error', reject)
  })
  expect(shown).toBe('192.168.7.8')
  if (!loopback.includes('::1')) return
  const both = await open('::')
  expect(hosts(both.urls)).toEqual(['localhost', '127.0.0.1', '[::1]', '192.168.7.8', '[fd12::9]'])
})
