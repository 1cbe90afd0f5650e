import { createServer } from 'node:https'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openHome } from '../helpers/home.ts'
import { OpensslAuthority } from '../helpers/openssl-authority.ts'

test('get --compare says who refuses a certificate with a common name alone', async () => {
  const authority = new OpensslAuthority()
  onTestFinished(() => authority.remove())
  const { rootling, json } = openHome()
  const fetched = async (pair: { cert: string; key: string }) => {
    const server = createServer(pair, (_, response) => void response.end('hello'))
    server.on('tlsClientError', () => {})
    server.listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const root = join(authority.directory, 'root.pem')
    return ['get', `https://app.localhost:${port}/`, '--compare', '--cacert', root]
  }
  const line = await fetched(authority.leaf('app.localhost', { subjectAltName: 'email:a@b.test' }))
  const { value } = await json(line)
  expect(value['findings']).toMatchObject([{ code: 'common-name-only' }])
  const { stdout } = await rootling(line)
  expect(stdout).toContain('certificate   app.localhost (its common name only)')
  expect(stdout).toContain('Refused by browsers, Go, GnuTLS (wget) and rustls')

  const named = await fetched(authority.leaf('good', { subjectAltName: 'DNS:app.localhost' }))
  expect((await json(named)).value['findings']).toEqual([])
})
