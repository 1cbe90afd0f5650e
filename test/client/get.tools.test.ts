import { execFile } from 'node:child_process'
import { createServer as createPlain, type ServerResponse } from 'node:http'
import { createServer as createTcp, type AddressInfo, type Server } from 'node:net'
import { createServer as createTls, type TlsOptions } from 'node:tls'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { compare } from '../../src/client/compare.ts'
import { get, type GetOptions } from '../../src/client/get.ts'
import { parseTarget, resolveLocally } from '../../src/client/target.ts'
import { createHttpsServer, type HttpsServerOptions } from '../../src/server/https.ts'
import { OpensslAuthority, scrubbedEnvironment, type Issued } from '../helpers/openssl-authority.ts'
import { knowsMlKem } from '../helpers/post-quantum-node.ts'

let authority: OpensslAuthority
let root: string
let good: Issued

beforeAll(() => {
  authority = new OpensslAuthority()
  root = authority.get('root').cert
  good = authority.leaf('good')
})
afterAll(() => authority.remove())

async function serve(pair: Issued, options: Partial<HttpsServerOptions> = {}): Promise<number> {
  const server = await createHttpsServer({
    pair,
    port: 0,
    handler: (_request, response) => {
      response.setHeader('X-Test', 'yes')
      response.end('hello\n')
    },
    ...options,
  })
  onTestFinished(() => server.close({ drainMilliseconds: 0 }))
  return server.port
}

async function listenOn(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

const fetchFrom = (port: number, options: Partial<GetOptions> = {}, host = 'localhost') =>
  get(`https://${host}:${port}/`, { ca: [root], ...options })

describe('a server that we trust', () => {
  test('answers with status, headers, body and how it was secured', async () => {
    const port = await serve(good)
    const response = await fetchFrom(port)
    expect(response).toMatchObject({
      status: 200,
      statusText: 'OK',
      httpVersion: '1.1',
      headers: { 'x-test': 'yes' },
      truncated: false,
      remoteAddress: '127.0.0.1',
      tls: {
        protocol: 'TLSv1.3',
        cipher: expect.stringMatching(/^TLS_/),
        // Node 22 names no group with ML-KEM.
        group: knowsMlKem(process.versions.openssl)
          ? expect.toBeOneOf(['X25519MLKEM768', null])
          : 'X25519',
        subjectAltName: ['localhost', '*.app.test', '127.0.0.1', '::1'],
        issuer: 'CN=intermediate',
        fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
        authorized: true,
      },
    })
    expect(response.body.toString()).toBe('hello\n')
    expect(response.tls.notAfter.getTime()).toBeGreaterThan(Date.now())
  })

  test('is found at 127.0.0.1, and at ::1 when only that listens', async () => {
    expect((await fetchFrom(await serve(good), {}, '127.0.0.1')).status).toBe(200)
    const port = await serve(good, { host: '::1' })
    expect((await fetchFrom(port)).remoteAddress).toBe('::1')
    expect((await fetchFrom(port, {}, '[::1]')).status).toBe(200)
  })

  test('may redirect, and is not followed', async () => {
    const port = await serve(good, {
      handler: (_request, response) => {
        response.statusCode = 302
        response.setHeader('Location', 'https://elsewhere.test/')
        response.end()
      },
    })
    expect(await fetchFrom(port)).toMatchObject({
      status: 302,
      headers: { location: 'https://elsewhere.test/' },
    })
  })

  test('may hang up as soon as it has answered, with more than it announced', async () => {
    const port = await listenOn(
      createTls(good, (socket) => {
        socket.on('error', () => {})
        socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi more'))
      }),
    )
    const { body, tls } = await fetchFrom(port)
    expect([body.toString(), tls.protocol, tls.authorized]).toEqual(['hi', 'TLSv1.3', true])
  })

  test('may send more than we read, or nothing in time', async () => {
    const big = await serve(good, {
      handler: (_request, response) => void response.end(Buffer.alloc(100_000)),
    })
    const cut = await fetchFrom(big, { maxBodyBytes: 1000 })
    expect([cut.body.length, cut.truncated]).toEqual([1000, true])
    expect((await fetchFrom(big, { maxBodyBytes: 100_000 })).truncated).toBe(false)
    const silent = await serve(good, { handler: () => {} })
    await expect(fetchFrom(silent, { timeoutMilliseconds: 200 })).rejects.toMatchObject({
      code: 'connect-failed',
      message: `localhost:${silent} did not answer within 0.2 s.`,
    })
    const stuck = await serve(good, {
      handler: (_request, response) => (response as ServerResponse).flushHeaders(),
    })
    await expect(fetchFrom(stuck, { timeoutMilliseconds: 200 })).rejects.toThrow(
      'did not answer within',
    )
  })
})

describe('a server that we refuse', () => {
  const refusal = async (pair: Issued, host?: string, ca = [root]) => {
    const port = await serve(pair)
    return await fetchFrom(port, { ca }, host).then(
      () => 'trusted',
      (error: unknown) => error,
    )
  }

  test('has an issuer that we do not know', async () => {
    expect(await refusal(authority.leaf('strange', { issuer: 'stranger' }))).toMatchObject({
      code: 'not-trusted',
      message: expect.stringMatching(
        /^Unknown issuer: localhost sent one certificate only, .* “CN=stranger”/,
      ),
    })
    expect(await refusal(good, 'localhost', [authority.get('stranger').cert])).toMatchObject({
      code: 'not-trusted',
      message:
        'Unknown issuer: the chain of localhost leads to “CN=root”, which is not a root that this client trusts.',
      hint: 'Name that root with --cacert, or trust ours: rootling install',
    })
    expect(await refusal(good, 'localhost', [])).toMatchObject({ code: 'not-trusted' })
    expect(await refusal({ cert: good.cert + root, key: good.key }, 'localhost', [])).toMatchObject(
      {
        message:
          'Unknown issuer: the chain of localhost ends at “CN=root”, which is not a root that this client trusts.',
      },
    )
  })

  test('left out the intermediate', async () => {
    const [leaf = ''] = good.cert.split(/(?<=-----END CERTIFICATE-----\n)/)
    expect(await refusal({ cert: leaf, key: good.key })).toMatchObject({
      code: 'not-trusted',
      message: expect.stringContaining('may have left out the intermediate'),
      hint: 'Let the server send its whole chain, or --cacert with the root',
    })
  })

  test('has a certificate for other names', async () => {
    const other = authority.leaf('other', { subjectAltName: 'DNS:other.test,DNS:*.other.test' })
    expect(await refusal(other)).toMatchObject({
      code: 'not-trusted',
      message: 'Wrong host: the certificate is for other.test, *.other.test, not for localhost.',
      hint: 'Give the server one that names it: rootling issue localhost',
    })
  })

  test('names a host only by its common name, which is said', async () => {
    const byName = authority.leaf('app.localhost', { subjectAltName: 'email:a@b.test' })
    const port = await serve(byName)
    const { tls } = await fetchFrom(port, {}, 'app.localhost')
    expect(tls).toMatchObject({ authorized: true, commonNameOnly: 'app.localhost' })
    expect((await fetchFrom(await serve(good))).tls.commonNameOnly).toBe(null)
    await expect(fetchFrom(port)).rejects.toMatchObject({
      code: 'not-trusted',
      message:
        'Wrong host: the certificate is for app.localhost (its common name only), not for localhost.',
    })
  })

  test('has a certificate out of its dates', async () => {
    const expired = authority.leaf('expired', {
      notBefore: new Date('2020-01-01'),
      notAfter: new Date('2020-02-01'),
    })
    expect(await refusal(expired)).toMatchObject({
      code: 'not-trusted',
      message: 'Expired: the certificate was valid until 2020-02-01 00:00 UTC.',
    })
    const future = authority.leaf('future', {
      notBefore: new Date('2045-01-01'),
      notAfter: new Date('2045-02-01'),
    })
    expect(await refusal(future)).toMatchObject({
      code: 'not-trusted',
      message:
        "Not yet valid: the certificate is valid from 2045-01-01 00:00 UTC, later than this machine's clock.",
    })
  })

  test('signed its own certificate', async () => {
    const selfSigned = authority.leaf('self-signed', { issuer: 'self-signed' })
    for (const pair of [selfSigned, authority.get('stranger')]) {
      expect(await refusal(pair)).toMatchObject({
        code: 'not-trusted',
        message:
          'Self-signed: the certificate of localhost is signed by itself, not by a root that this client trusts.',
      })
    }
    expect(await refusal(selfSigned, 'localhost', [selfSigned.cert])).toBe('trusted')
  })

  test('has a certificate outside the constraints of its CA, or for clients only', async () => {
    expect(
      await refusal(authority.leaf('wide', { issuer: 'narrow', subjectAltName: 'DNS:localhost' })),
    ).toMatchObject({
      code: 'not-trusted',
      message:
        'Name constraint violated: a CA in the chain may not issue for localhost (permitted subtree violation).',
    })
    expect(
      await refusal(authority.leaf('client-only', { extensions: ['extendedKeyUsage=clientAuth'] })),
    ).toMatchObject({
      message: 'Wrong purpose: the certificate of localhost is not for servers.',
    })
  })

  test('has a certificate signed by one that is no CA', async () => {
    const child = authority.leaf('child', { issuer: 'good' })
    const chain = { cert: child.cert + good.cert, key: child.key }
    expect(await refusal(chain)).toMatchObject({
      code: 'not-trusted',
      message:
        'Not a CA: a certificate in the chain of localhost signed another without being allowed to.',
    })
  })

  test('is refused whatever NODE_TLS_REJECT_UNAUTHORIZED and NODE_EXTRA_CA_CERTS say', async () => {
    const port = await serve(good)
    const script = `
      const { get } = await import(process.argv[1])
      const result = await get(process.argv[2], { ca: [] }).then(() => 'trusted', (error) => error.code)
      console.log(result)`
    const bundle = await bundled()
    const env = {
      ...scrubbedEnvironment(),
      NODE_TLS_REJECT_UNAUTHORIZED: '0',
      NODE_EXTRA_CA_CERTS: authority.write('extra.pem', root),
    }
    const ran = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', script, bundle, `https://localhost:${port}/`],
      { env },
    )
    expect(ran.stdout.trim()).toBe('not-trusted')
  })
})

/** Node 20 runs no TypeScript. */
async function bundled(): Promise<string> {
  const { build } = await import('rolldown')
  const input = new URL('../../src/client/get.ts', import.meta.url).pathname
  const file = `${authority.directory}/get.mjs`
  await build({ input, platform: 'node', output: { file, format: 'esm' }, logLevel: 'silent' })
  return file
}

describe('client certificates', () => {
  const mutual = async (tls: TlsOptions) => {
    const server = createTls({ ...good, ca: root, requestCert: true, ...tls }, (socket) => {
      socket.on('error', () => {})
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')
    })
    return await listenOn(server)
  }

  test('are sent, and their lack or a foreign one is named', async () => {
    const port = await mutual({ rejectUnauthorized: true })
    const ours = authority.leaf('ours', { extensions: ['extendedKeyUsage=clientAuth'] })
    const theirs = authority.leaf('theirs', {
      issuer: 'stranger',
      extensions: ['extendedKeyUsage=clientAuth'],
    })
    expect((await fetchFrom(port, { clientCertificate: ours })).body.toString()).toBe('ok')
    await expect(fetchFrom(port)).rejects.toMatchObject({
      code: 'not-trusted',
      message: expect.stringMatching(/^Client certificate required: /),
    })
    await expect(fetchFrom(port, { clientCertificate: theirs })).rejects.toMatchObject({
      code: 'not-trusted',
      message: expect.stringMatching(/^Client certificate refused: /),
    })
  })

  test('are refused before connecting when the key is another one’s', async () => {
    const ours = authority.leaf('ours-2')
    const clientCertificate = { cert: ours.cert, key: good.key }
    await expect(fetchFrom(1, { clientCertificate })).rejects.toMatchObject({ code: 'bad-key' })
    await expect(fetchFrom(1, { ca: ['hello'] })).rejects.toMatchObject({ code: 'bad-certificate' })
  })
})

describe('no connection', () => {
  test('because nothing listens, or the name has no address', async () => {
    const server = createTcp()
    const port = await listenOn(server)
    await new Promise((resolve) => server.close(resolve))
    await expect(fetchFrom(port)).rejects.toMatchObject({
      code: 'connect-failed',
      message: `Nothing listens on localhost:${port}.`,
      hint: `rootling serve localhost --port ${port}`,
    })
    await expect(fetchFrom(port, {}, 'nowhere.invalid')).rejects.toMatchObject({
      code: 'connect-failed',
      message: 'The name nowhere.invalid has no address.',
      hint: 'Check the name, or add it to the hosts file: rootling hosts add nowhere.invalid',
    })
  })

  test('because the port speaks plain HTTP, or something else', async () => {
    const plain = await listenOn(createPlain((_request, response) => response.end('plain')))
    await expect(fetchFrom(plain)).rejects.toMatchObject({
      code: 'connect-failed',
      message: `localhost:${plain} spoke plain HTTP, not TLS.`,
    })
    const other = await listenOn(
      createTcp((socket) => socket.on('error', () => {}).end('220 mail ready\r\n')),
    )
    await expect(fetchFrom(other)).rejects.toMatchObject({
      code: 'connect-failed',
      message: `localhost:${other} does not speak TLS.`,
    })
    const mute = await listenOn(
      createTcp((socket) =>
        socket
          .on('error', () => {})
          .resume()
          .end(),
      ),
    )
    await expect(fetchFrom(mute)).rejects.toMatchObject({ code: 'connect-failed' })
  })

  test('because no TLS version or application protocol is shared', async () => {
    const old = await listenOn(
      createTls({
        ...good,
        minVersion: 'TLSv1',
        maxVersion: 'TLSv1.1',
        ciphers: 'DEFAULT@SECLEVEL=0',
      }),
    )
    await expect(fetchFrom(old)).rejects.toThrow('no TLS version in common')
    const h2only = await listenOn(createTls({ ...good, ALPNProtocols: ['h2'] }))
    await expect(fetchFrom(h2only)).rejects.toThrow('does not offer HTTP/1.1')
  })

  test('because the reply is not HTTP', async () => {
    const port = await listenOn(
      createTls(good, (socket) => socket.on('error', () => {}).end('hello?\r\n\r\n')),
    )
    await expect(fetchFrom(port)).rejects.toThrow('answered with something that is not HTTP')
  })

  test('is the same whether https:// is typed or left out', () => {
    for (const typed of ['localhost', 'localhost:8443/a?b', '127.0.0.1:1', '[::1]:8443', 'a.test/'])
      expect(parseTarget(typed)).toEqual(parseTarget(`https://${typed}`))
    for (const typed of ['', '/a', '//a.test', 'a b', 'a b:1', 'me@a.test', ':1'])
      expect(() => parseTarget(typed)).toThrow('is not a URL')
    for (const typed of ['mailto:a@b.test', 'http:a', 'file:///a'])
      expect(() => parseTarget(typed)).toThrow('Only https URLs can be fetched')
  })

  test('because the URL is none, or not https', async () => {
    const options = { ca: [] }
    await expect(get('local host', options)).rejects.toMatchObject({ code: 'usage' })
    await expect(get('http://localhost:1/a', options)).rejects.toMatchObject({
      code: 'usage',
      hint: 'rootling get https://localhost:1/a',
    })
    await expect(get('ftp://localhost/', options)).rejects.toThrow('Only https URLs')
  })
})

test('every name below localhost is loopback without DNS', async () => {
  const found = await new Promise((resolve) => {
    resolveLocally('Deep.Name.LOCALHOST.', { all: true }, (_error, addresses) => resolve(addresses))
  })
  expect(found).toEqual([
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ])
})

describe('compare', () => {
  test('shows the same request with our root and without it', async () => {
    const port = await serve(good)
    const { trusting, untrusting } = await compare(`https://localhost:${port}/`, { ca: [root] })
    expect(trusting).toMatchObject({ ok: true, response: { status: 200 } })
    expect(untrusting).toMatchObject({
      ok: false,
      error: { code: 'not-trusted', message: expect.stringMatching(/^Unknown issuer: /) },
    })
  })

  test('fails twice where the host is wrong, and throws for what is no URL', async () => {
    const port = await serve(authority.leaf('elsewhere', { subjectAltName: 'DNS:elsewhere.test' }))
    const { trusting, untrusting } = await compare(`https://localhost:${port}/`, { ca: [root] })
    expect([trusting.ok, untrusting.ok]).toEqual([false, false])
    await expect(compare('http://localhost/', { ca: [root] })).rejects.toMatchObject({
      code: 'usage',
    })
  })
})
