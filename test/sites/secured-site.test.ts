import { rm } from 'node:fs/promises'
import { request } from 'node:https'
import { expect, onTestFinished, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { issue } from '../../src/certificates/issue.ts'
import { openSecuredSite } from '../../src/sites/secured-site.ts'
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
