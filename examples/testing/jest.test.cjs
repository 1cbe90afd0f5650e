// npx jest
const https = require('node:https')
const { ephemeralAuthority } = require('rootling/test')

/** The code under test: a client with a list of revoked certificates. */
const get = (port, ca, crl) =>
  new Promise((resolve, reject) => {
    https
      .get({ host: 'localhost', port, ca, crl, agent: false }, async (response) =>
        resolve((await response.toArray()).join('')),
      )
      .on('error', reject)
  })

let ca
let certificate
let server
beforeAll(async () => {
  ca = await ephemeralAuthority()
  certificate = await ca.certificate()
  server = https.createServer(certificate, (_request, response) => response.end('hello'))
  await new Promise((resolve) => server.listen(0, 'localhost', resolve))
})
afterAll(() => server.close())

test('accepts a certificate until it is revoked', async () => {
  const { port } = server.address()
  await expect(get(port, ca.root, await ca.crls())).resolves.toBe('hello')
  ca.revoke(certificate)
  await expect(get(port, ca.root, await ca.crls())).rejects.toMatchObject({ code: 'CERT_REVOKED' })
})

test('fetch trusts the authority for the time of a test', async () => {
  const url = `https://localhost:${server.address().port}/`
  await expect(fetch(url)).rejects.toThrow('fetch failed')
  const trust = await ca.trust()
  try {
    const response = await fetch(url, { headers: { connection: 'close' } })
    await expect(response.text()).resolves.toBe('hello')
  } finally {
    trust.dispose()
  }
})
