import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { release } from '../../../src/certificates/revoke.ts'
import { ensureScopeFor, permitScope } from '../../../src/authority/create.ts'
import { hasTool, runTool } from '../../helpers/tools.ts'
import { startResponder, type Responder } from './responder.ts'
import { makeWorld, openssl, type World } from '../../helpers/authority.ts'
import { fileStorage } from '../../../src/storage/files/storage.ts'

const ocsptool = await hasTool('ocsptool')

/** Asks by openssl, which verifies the answer's signature by `ca` and its nonce. */
function ask(world: World, { url }: Responder, name: string, ...args: string[]): Promise<string> {
  return openssl(
    'ocsp',
    '-issuer',
    world.path('intermediate.pem'),
    '-CAfile',
    world.path('cas.pem'),
    '-url',
    `${url}/ocsp`,
    ...args,
    '-cert',
    world.path(`${name}.pem`),
  )
}

/** The DER of a request that openssl makes. */
async function makeRequest(world: World, name: string, ...args: string[]): Promise<Buffer> {
  const file = world.path('request.der')
  const certificate = [
    '-issuer',
    world.path('intermediate.pem'),
    '-cert',
    world.path(`${name}.pem`),
  ]
  await openssl('ocsp', ...args, ...certificate, '-reqout', file)
  return readFile(file)
}

test.each(['-sha1', '-sha256'])(
  'OpenSSL hears of the intermediate of clients what its root said, asking by %s',
  async (hash) => {
    const world = await makeWorld()
    const { root, intermediate } = await ensureScopeFor(world.state, 'clients', new Date())
    await writeFile(world.path('clients.pem'), root.toString())
    await writeFile(world.path('clients-issuing.pem'), intermediate.toString())
    const { url } = await startResponder(world.state)
    const about = (issuer: string, cert: string) =>
      openssl(
        ...['ocsp', '-issuer', world.path(issuer), '-CAfile', world.path(issuer)],
        ...['-url', `${url}/ocsp`, hash, '-no_nonce', '-cert', world.path(cert)],
      )
    const said = await about('clients.pem', 'clients-issuing.pem')
    expect(said).toMatch(/Response verify OK/)
    expect(said).toMatch(/clients-issuing\.pem: good/)
    // The root of another scope has signed no such answer.
    expect(await about('root.pem', 'intermediate.pem')).toMatch(/unauthorized/)
    expect(await about('clients.pem', 'intermediate.pem')).toMatch(/unauthorized/)
  },
)

test.each(['-sha1', '-sha256', '-sha384'])(
  'OpenSSL is told the truth, asking by %s',
  async (hash) => {
    const world = await makeWorld()
    const [, bad, held] = [
      await world.issue('good'),
      await world.issue('bad'),
      await world.issue('held'),
    ]
    await world.revoke(bad, 'keyCompromise')
    await world.revoke(held, 'certificateHold')
    const responder = await startResponder(world.state)
    const good = await ask(world, responder, 'good', hash)
    expect(good).toMatch(/Response verify OK/)
    expect(good).toMatch(/good\.pem: good/)
    expect(good).not.toMatch(/no nonce|WARNING/)
    const revoked = await ask(world, responder, 'bad', hash)
    expect(revoked).toMatch(/bad\.pem: revoked/)
    expect(revoked).toMatch(/Reason: keyCompromise/)
    expect(await ask(world, responder, 'held', hash)).toMatch(/Reason: certificateHold/)
  },
)

test('the answer names the key, embeds no certificate, and repeats the nonce', async () => {
  const world = await makeWorld()
  await world.issue('good')
  const responder = await startResponder(world.state)
  const text = await ask(world, responder, 'good', '-resp_text')
  expect(text).toMatch(/Responder Id: [0-9A-F]{40}/)
  expect(text).not.toMatch(/Certificate:\n/)
  expect(text).toMatch(/Nonce:/)
  const without = await ask(world, responder, 'good', '-resp_text', '-no_nonce')
  expect(without).toMatch(/good\.pem: good/)
  expect(without).not.toMatch(/Nonce:/)
})

test('a serial number that was never issued is unknown, and one of another scope too', async () => {
  const world = await makeWorld()
  const good = await world.issue('good')
  const responder = await startResponder(world.state)
  const args = ['-issuer', world.path('intermediate.pem'), '-CAfile', world.path('cas.pem')]
  const serial = (n: string) => openssl('ocsp', ...args, '-url', responder.url, '-serial', n)
  expect(await serial('0x1234')).toMatch(/0x1234: unknown/)
  const { scope } = await permitScope(world.state, { permit: ['dev.example.com'] }, new Date())
  await writeFile(world.path('work.pem'), scope.intermediate.toString())
  const other = await openssl(
    'ocsp',
    '-issuer',
    world.path('work.pem'),
    '-CAfile',
    world.path('work.pem'),
    '-serial',
    `0x${good.serialNumber}`,
    '-url',
    responder.url,
  )
  expect(other).toMatch(/: unknown/)
})

test('about an issuer that is none of ours it is not entitled to speak', async () => {
  const [world, stranger] = [await makeWorld(), await makeWorld()]
  await stranger.issue('good')
  const responder = await startResponder(world.state)
  expect(await ask(stranger, responder, 'good')).toMatch(/Responder Error: unauthorized \(6\)/)
})

test('several certificates are answered in one response', async () => {
  const world = await makeWorld()
  await world.issue('good')
  await world.revoke(await world.issue('bad'))
  const responder = await startResponder(world.state)
  const text = await ask(world, responder, 'good', '-cert', world.path('bad.pem'))
  expect(text).toMatch(/good\.pem: good/)
  expect(text).toMatch(/bad\.pem: revoked/)
})

test('a revocation and a release by somebody else are seen by a running responder', async () => {
  const world = await makeWorld()
  const record = await world.issue('web')
  const responder = await startResponder(world.state)
  expect(await ask(world, responder, 'web')).toMatch(/web\.pem: good/)
  await world.revoke(record, 'certificateHold')
  expect(await ask(world, responder, 'web')).toMatch(/web\.pem: revoked/)
  await release(fileStorage(world.state), { target: record.serialNumber, now: new Date() })
  expect(await ask(world, responder, 'web')).toMatch(/web\.pem: good/)
})

test.skipIf(!ocsptool)('GnuTLS agrees, and refuses the answer by a stranger’s issuer', async () => {
  const [world, stranger] = [await makeWorld(), await makeWorld()]
  await world.issue('good')
  await world.revoke(await world.issue('bad'), 'superseded')
  const responder = await startResponder(world.state)
  const run = (name: string, signer: World) =>
    runTool('ocsptool', [
      `--ask=${responder.url}/ocsp`,
      '--load-cert',
      world.path(`${name}.pem`),
      '--load-issuer',
      world.path('intermediate.pem'),
      '--nonce',
      '--load-signer',
      signer.path('intermediate.pem'),
    ])
  const good = await run('good', world)
  expect(good.stdout + good.stderr).toMatch(/Certificate Status: good/)
  expect(good.stdout + good.stderr).toMatch(/Verifying OCSP Response: Success/)
  const bad = await run('bad', world)
  expect(bad.stdout + bad.stderr).toMatch(/Certificate Status: revoked/)
  const wrong = await run('good', stranger)
  expect(wrong.stdout + wrong.stderr).not.toMatch(/Verifying OCSP Response: Success/)
})

/** What openssl says of an answer that came by other means. */
async function judge(world: World, answer: Buffer): Promise<string> {
  await writeFile(world.path('answer.der'), answer)
  return openssl(
    'ocsp',
    '-respin',
    world.path('answer.der'),
    '-CAfile',
    world.path('cas.pem'),
    '-issuer',
    world.path('intermediate.pem'),
    '-cert',
    world.path('good.pem'),
  )
}

interface Got {
  readonly status: number
  readonly type: string
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Buffer
}

function send(
  { port }: Responder,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body: Buffer | string = '',
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response
        const type = headers['content-type'] ?? ''
        resolve({ status, type, headers, body: Buffer.concat(chunks) })
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
const asOcsp = { 'content-type': 'application/ocsp-request' }

test('GET carries the request in the path, with its slashes and pluses encoded or not', async () => {
  const world = await makeWorld()
  await world.issue('good')
  const responder = await startResponder(world.state)
  const der = await makeRequest(world, 'good', '-no_nonce')
  const base64 = der.toString('base64')
  for (const path of [`/ocsp/${encodeURIComponent(base64)}`, `/ocsp/${base64}`, `//${base64}`]) {
    const { status, type, body } = await send(responder, 'GET', path)
    expect({ status, type }).toEqual({ status: 200, type: 'application/ocsp-response' })
    expect(await judge(world, body)).toMatch(/Response verify OK/)
    const forged = Buffer.from(body)
    forged[forged.length - 3] = (forged[forged.length - 3] ?? 0) ^ 1
    expect(await judge(world, forged)).toMatch(/Response Verify Failure/)
  }
  const broken = await send(responder, 'GET', '/ocsp/%ZZ')
  expect([broken.status, broken.body.toString('hex')]).toEqual([200, '30030a0101'])
})

test('what is no request at all is malformed, and a critical unknown extension too', async () => {
  const world = await makeWorld()
  await world.issue('good')
  const responder = await startResponder(world.state)
  const der = await makeRequest(world, 'good')
  for (const body of [
    Buffer.alloc(0),
    Buffer.from('hello'),
    der.subarray(1),
    der.subarray(0, -1),
  ]) {
    const got = await send(responder, 'POST', '/ocsp', asOcsp, body)
    expect([got.status, got.type]).toEqual([200, 'application/ocsp-response'])
    expect(got.body.toString('hex')).toBe('30030a0101')
  }
})

test('refuses other types, methods, paths and sizes as HTTP does', async () => {
  const world = await makeWorld()
  const responder = await startResponder(world.state)
  const status = async (
    ...args: Parameters<typeof send> extends [unknown, ...infer R] ? R : never
  ) => (await send(responder, ...args)).status
  expect(await status('POST', '/ocsp', { 'content-type': 'text/plain' }, 'x')).toBe(415)
  expect(await status('POST', '/ocsp', {}, 'x')).toBe(415)
  expect(await status('PUT', '/ocsp', asOcsp, 'x')).toBe(405)
  expect(await status('OPTIONS', '/ocsp')).toBe(405)
  expect(await status('POST', '/elsewhere', asOcsp, 'x')).toBe(404)
  expect(await status('GET', '/')).toBe(404)
  expect(await status('GET', '/none.crl')).toBe(404)
  expect(await status('GET', '/../local.crl')).not.toBe(404)
  expect(await status('POST', '/ocsp', asOcsp, Buffer.alloc(8 * 1024))).toBe(200)
  expect(await status('POST', '/ocsp', asOcsp, Buffer.alloc(8 * 1024 + 1))).toBe(413)
  const chunked = { ...asOcsp, 'transfer-encoding': 'chunked' }
  expect(await status('POST', '/ocsp', chunked, Buffer.alloc(100_000))).toBe(413)
  expect(responder.errors).toEqual([])
})

test('answers for loopback names alone, and lends no origin its answers', async () => {
  const world = await makeWorld()
  const responder = await startResponder(world.state)
  const status = async (host: string) =>
    (await send(responder, 'GET', '/local.crl', { host })).status
  const { port } = responder
  for (const host of [`localhost:${port}`, 'LOCALHOST', 'ocsp.localhost', '127.0.0.1', '[::1]:80'])
    expect(await status(host)).toBe(200)
  for (const host of ['evil.test', 'localhost.evil.test', '10.0.0.1', 'a@localhost'])
    expect(await status(host)).toBe(421)
  const { headers } = await send(responder, 'GET', '/local.crl', { origin: 'http://evil.test' })
  expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([])
})

test('answers for the hosts of a server that other machines ask, and for no others', async () => {
  const world = await makeWorld()
  const hosts = ['CA.team.test', '[2001:db8::7]', '192.0.2.7']
  const responder = await startResponder(world.state, undefined, { hosts })
  const ask = (host: string, headers: Record<string, string> = {}) =>
    send(responder, 'GET', '/local.crl', { host, ...headers })
  const known = ['ca.team.test', 'CA.TEAM.TEST:14680', 'ca.team.test.', '[2001:db8::7]:80']
  for (const host of [...known, '192.0.2.7', 'localhost', '127.0.0.1'])
    expect((await ask(host)).status).toBe(200)
  for (const host of ['team.test', 'x.ca.team.test', 'evil.test', '192.0.2.8', 'a@ca.team.test'])
    expect((await ask(host)).status).toBe(421)
  expect((await ask('ca.team.test', { origin: 'http://evil.test' })).status).toBe(403)
  expect(responder.errors).toEqual([])
})

test('an HTTP/1.0 client without Host is answered, as no browser can ask so', async () => {
  const world = await makeWorld()
  const { port } = await startResponder(world.state)
  const socket = connect(port, '127.0.0.1')
  socket.write('GET /local.crl HTTP/1.0\r\n\r\n')
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  expect(Buffer.concat(chunks).toString('latin1')).toMatch(/^HTTP\/1\.1 200 /)
})

test('serves a scope’s list, the same until something changes', async () => {
  const world = await makeWorld()
  const record = await world.issue('web')
  const responder = await startResponder(world.state)
  const get = () => send(responder, 'GET', '/local.crl')
  const first = await get()
  expect([first.status, first.type]).toEqual([200, 'application/pkix-crl'])
  expect((await get()).body).toEqual(first.body)
  await world.revoke(record)
  const second = await get()
  await writeFile(world.path('second.crl'), second.body)
  const text = await openssl(
    'crl',
    '-inform',
    'DER',
    '-in',
    world.path('second.crl'),
    '-noout',
    '-text',
    '-CAfile',
    world.path('cas.pem'),
  )
  expect(text).toMatch(/verify OK/)
  expect(text.toLowerCase()).toContain(record.serialNumber)
  const head = await send(responder, 'HEAD', '/local.crl')
  expect([head.status, head.body.length]).toEqual([200, 0])
})

test('when the record is damaged it says internalError and logs the reason', async () => {
  const world = await makeWorld()
  await world.issue('good')
  const responder = await startResponder(world.state)
  const body = await makeRequest(world, 'good')
  await writeFile(`${world.state.path}/certificates.jsonl`, 'nonsense\n')
  const got = await send(responder, 'POST', '/', asOcsp, body)
  expect(got.body.toString('hex')).toBe('30030a0102')
  expect(responder.errors).toMatchObject([{ code: 'corrupt-state' }])
})
