import { once } from 'node:events'
import { connect } from 'node:http2'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createJsonLog, createRoutes } from '../../src/replica/json-log.ts'
import { createHttpsServer } from '../../src/server/https.ts'
import { OpensslAuthority } from '../helpers/openssl-authority.ts'
import { runTool } from '../helpers/tools.ts'

let authority: OpensslAuthority
beforeAll(() => void (authority = new OpensslAuthority()))
afterAll(() => authority.remove())

test('the HTTPS server logs requests of curl, and one whose connection broke', async () => {
  const lines: string[] = []
  const ids: string[] = []
  const routeOf = createRoutes('/acme', ['order'], ['/healthz'])
  const log = createJsonLog({
    write: (line) => lines.push(line),
    now: () => new Date(),
    routeOf,
    unlogged: new Set(['/healthz']),
  })
  const server = await createHttpsServer({
    pair: authority.leaf('server'),
    port: 0,
    onRequest: log.request,
    handler(request, response) {
      log.account(request, 'acct-1')
      if (request.url !== '/acme/order/broken') {
        ids.push(log.requestId(request))
        response.end('hello')
      } else if ('stream' in request) request.stream.session?.destroy()
    },
  })
  onTestFinished(() => server.close({ drainMilliseconds: 0 }))
  const root = authority.write('trusted.pem', authority.get('root').cert)
  const curl = (path: string, ...args: string[]) =>
    runTool('curl', ['-sS', '--cacert', root, ...args, new URL(path, server.url).href])
  await curl('/healthz')
  await curl('/acme/order/1?a', '--http1.1', '-H', 'X-Request-ID: given-1')
  await curl('/acme/order/2', '--http2', '-d', 'body')
  const session = connect(server.url, { ca: authority.get('root').cert })
  onTestFinished(() => session.destroy())
  session
    .on('error', () => {})
    .request({ ':path': '/acme/order/broken' })
    .on('error', () => {})
  if (!session.closed) await once(session, 'close')
  await expect.poll(() => lines.length).toBe(3)
  const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(logged).toMatchObject([
    { request: ids[1], method: 'GET', route: 'order', status: 200, address: '127.0.0.1' },
    { request: ids[2], method: 'POST', route: 'order', status: 200, account: 'acct-1' },
    { request: expect.stringMatching(/^[\da-f-]{36}$/), route: 'order', status: null },
  ])
})
