// node --test
import assert from 'node:assert/strict'
import http2 from 'node:http2'
import { after, test } from 'node:test'
import { Agent, request } from 'undici'
import { ephemeralAuthority } from 'rootling/test'

const ca = await ephemeralAuthority()

/** Starts a server for HTTP/2 and 1.1, and returns its port. */
async function serve(certificate) {
  const options = { ...certificate, allowHTTP1: true }
  const server = http2.createSecureServer(options, ({ httpVersion }, response) =>
    response.end(`hello over ${httpVersion}`),
  )
  await new Promise((resolve) => server.listen(0, 'localhost', resolve))
  after(() => server.close())
  return server.address().port
}

/** A dispatcher that trusts the authority, and no other. */
const dispatcher = new Agent({ allowH2: true, connect: { ca: ca.root } })
after(() => dispatcher.close())

test('trusts the authority', async () => {
  const port = await serve(await ca.certificate())
  const { body } = await request(`https://localhost:${port}/`, { dispatcher })
  assert.equal(await body.text(), 'hello over 2.0')
})

test('refuses a chain without its intermediate', async () => {
  const port = await serve(await ca.certificate('localhost', { fault: 'no-intermediate' }))
  await assert.rejects(request(`https://localhost:${port}/`, { dispatcher }), {
    code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  })
})
