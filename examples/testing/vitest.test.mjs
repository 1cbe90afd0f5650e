// npx vitest run
import https from 'node:https'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { certificateFaults, ephemeralAuthority } from 'rootling/test'

/** The code under test: a client that must refuse what is wrong. */
const greet = async (port) => (await fetch(`https://localhost:${port}/`)).text()

const ca = await ephemeralAuthority()
let trust
beforeAll(async () => {
  trust = await ca.trust() // this process's fetch trusts the root
})
afterAll(() => trust.dispose())

/** Starts a server with a certificate, gives its port to `use`, and ends it. */
async function withServer(certificate, use) {
  const server = https.createServer(certificate, (_request, response) => response.end('hello'))
  await new Promise((resolve) => server.listen(0, 'localhost', resolve))
  try {
    return await use(server.address().port)
  } finally {
    server.close()
    server.closeAllConnections()
  }
}

test('greets a server that it trusts', async () => {
  expect(await withServer(await ca.certificate(), greet)).toBe('hello')
})

// fetch asks for no list of revoked certificates, so it accepts one.
test.each(certificateFaults.filter((fault) => fault !== 'revoked'))(
  'refuses a server whose certificate is %s',
  async (fault) => {
    const certificate = await ca.certificate('localhost', { fault })
    await expect(withServer(certificate, greet)).rejects.toThrow('fetch failed')
  },
)
