// node --test
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import https from 'node:https'
import { test } from 'node:test'
import tls from 'node:tls'
import { promisify } from 'node:util'
import { certificateFaults, ephemeralAuthority, RootlingError } from 'rootling/test'

// Each block of lines here is one of docs/testing.md.

const ca = await ephemeralAuthority()

/** Starts a server, and returns its port. */
async function listen(server, t) {
  await new Promise((resolve) => server.listen(0, 'localhost', resolve))
  t.after(() => server.close())
  return server.address().port
}

/** Connects, and returns `null` or the code of the refusal. */
const refusal = (port, options) =>
  new Promise((resolve) => {
    const socket = tls.connect({ host: 'localhost', port, servername: 'localhost', ...options })
    socket.once('data', () => resolve(null) ?? socket.destroy())
    socket.once('error', ({ code }) => resolve(code))
  })

test('a server and a client', async (t) => {
  const server = tls.createServer(await ca.certificate(), (socket) => socket.end('hello'))
  const port = await listen(server, t)

  const client = { ca: ca.root }
  assert.equal(await refusal(port, client), null)
  assert.match(await refusal(port, {}), /^UNABLE_TO_/)
})

test('names, keys, subjects and dates', async () => {
  await ca.certificate() // localhost, 127.0.0.1 and ::1
  await ca.certificate(['shop.example.com', '*.shop.test', 'bücher.example', '10.1.2.3'])
  await ca.certificate('shop.test', { keyType: 'rsa2048', subject: 'CN=shop.test,O=Shop' })
  await ca.certificate('shop.test', { notAfter: new Date(Date.now() + 60_000) })
})

test('what must be refused', async (t) => {
  for (const fault of certificateFaults) {
    const certificate = await ca.certificate('localhost', { fault })
    const port = await listen(
      tls.createServer(certificate, (socket) => socket.end('hello')),
      t,
    )
    const client = { ca: ca.root, ...(fault === 'revoked' ? { crl: await ca.crls() } : {}) }
    assert.notEqual(await refusal(port, client), null, fault)
  }
})

test('revocation', async (t) => {
  const certificate = await ca.certificate()
  const port = await listen(
    tls.createServer(certificate, (socket) => socket.end('hello')),
    t,
  )
  ca.revoke(certificate)
  const client = { ca: ca.root, crl: await ca.crls() }
  assert.equal(await refusal(port, client), 'CERT_REVOKED')
})

test('files', async () => {
  const certificate = await ca.certificate()
  const files = await certificate.files()
  assert.equal(readFileSync(files.certPath, 'utf8'), certificate.cert)
  assert.equal(readFileSync(files.keyPath, 'utf8'), certificate.key)
  assert.equal(readFileSync(files.caPath, 'utf8'), ca.root)
  await files.dispose()
  assert.equal(existsSync(files.keyPath), false)
})

test('this process', async (t) => {
  const server = https.createServer(await ca.certificate(), (_, response) => response.end('hello'))
  const port = await listen(server, t)
  const trust = await ca.trust()
  const response = await fetch(`https://localhost:${port}/`, { headers: { connection: 'close' } })
  assert.equal(await response.text(), 'hello')
  trust.dispose()
})

test('child processes', async (t) => {
  const server = https.createServer(await ca.certificate(), (_, response) => response.end('hello'))
  const url = `https://localhost:${await listen(server, t)}/`
  const environment = await ca.environment()
  const env = { ...process.env, ...environment.variables }
  const { stdout } = await promisify(execFile)('curl', ['-sS', url], { env })
  assert.equal(stdout, 'hello')
  await environment.dispose()
})

test('name constraints', async () => {
  const narrow = await ephemeralAuthority({ permitted: ['dev.example.com', '203.0.113.0/24'] })
  await narrow.certificate(['api.dev.example.com', '203.0.113.7', 'localhost'])
  const refused = narrow.certificate('www.example.com')
  await assert.rejects(refused, (error) => error instanceof RootlingError)
  await assert.rejects(refused, { code: 'not-permitted' })
})
