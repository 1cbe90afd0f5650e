// node --test
import assert from 'node:assert/strict'
import https from 'node:https'
import { test } from 'node:test'
import { ephemeralAuthority } from 'rootling/test'

const ca = await ephemeralAuthority()

/** The code under test: a server that knows its clients by their certificates (mutual TLS). */
const createServer = (certificate) =>
  https.createServer({ ...certificate, requestCert: true }, (request, response) =>
    response.end(`hello ${request.socket.getPeerCertificate().subject.CN}`),
  )

/** Returns the body of a response. Throws what the connection ends with. */
const get = (options) =>
  new Promise((resolve, reject) => {
    https
      .get({ host: 'localhost', agent: false, ...options }, async (response) =>
        resolve((await response.toArray()).join('')),
      )
      .on('error', reject)
  })

test('knows clients by their certificates', async (t) => {
  const server = createServer(await ca.certificate())
  await new Promise((resolve) => server.listen(0, 'localhost', resolve))
  t.after(() => server.close())
  const { port } = server.address()

  // A certificate has `cert`, `key` and `ca`, the root by which the client checks the server.
  const ada = await ca.clientCertificate('ada@example.com')
  assert.equal(await get({ port, ...ada }), 'hello ada@example.com')

  const refused = { code: /^(?:ECONNRESET|EPIPE|ERR_SSL_.*)$/ }
  await assert.rejects(get({ port, ca: ca.root }), refused)
  for (const fault of ['expired', 'wrong-issuer', 'self-signed'])
    await assert.rejects(get({ port, ...(await ca.clientCertificate('ada', { fault })) }), refused)
})
