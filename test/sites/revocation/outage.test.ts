import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { RootlingError } from '../../../src/errors.ts'
import { createRevocationHandler } from '../../../src/sites/revocation/server.ts'
import type { Storage } from '../../../src/storage/storage.ts'

test.each([
  ['database-away', 3, 503, '5'],
  ['connect-failed', 3, 503, '5'],
  ['corrupt-state', 2, 500, null],
] as const)('a storage that fails with %s', async (code, status, crl, retryAfter) => {
  const failing = new Proxy(
    {},
    {
      get: () => () => Promise.reject(new RootlingError(code, 'The storage fails.')),
    },
  )
  const storage = { place: 'x', scopes: failing, certificates: failing, keys: failing }
  const handler = createRevocationHandler({
    storage: storage as unknown as Storage,
    now: () => new Date(),
  })
  const server = createServer(handler).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const list = await fetch(`${url}/local.crl`)
  expect([list.status, list.headers.get('retry-after')]).toEqual([crl, retryAfter])
  // A request for one certificate (RFC 6960 §4.1.1), by the SHA-1 of a name and a key.
  const id = `300906052b0e03021a05000414${'11'.repeat(20)}0414${'22'.repeat(20)}020101`
  const wrapped = (hex: string) => `30${(hex.length / 2).toString(16).padStart(2, '0')}${hex}`
  const request = Buffer.from(wrapped(wrapped(wrapped(wrapped(wrapped(id))))), 'hex')
  const answered = await fetch(`${url}/ocsp`, {
    method: 'POST',
    headers: { 'content-type': 'application/ocsp-request' },
    body: request,
  })
  // OCSPResponse of the status alone (RFC 6960 §4.2.1).
  expect(Buffer.from(await answered.arrayBuffer()).toString('hex')).toBe(`30030a010${status}`)
})
