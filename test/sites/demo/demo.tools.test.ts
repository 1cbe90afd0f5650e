import { request as plainRequest } from 'node:https'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createDemoHandler } from '../../../src/sites/demo/demo.ts'
import { demoPage, demoText } from '../../../src/sites/demo/page.ts'
import { escapeHtml } from '../../../src/sites/page.ts'
import { pathSegments } from '../../../src/sites/static-files.ts'
import { createHttpsServer, type HttpsServer } from '../../../src/server/https.ts'
import { formatLogLine } from '../../../src/server/request-log.ts'
import { OpensslAuthority, type Issued } from '../../helpers/openssl-authority.ts'
import { run } from '../../server/peers.ts'

let authority: OpensslAuthority
let pair: Issued
let rootFile: string
let base: string
let site: string

beforeAll(() => {
  authority = new OpensslAuthority()
  pair = authority.leaf('demo')
  rootFile = authority.write('trusted.pem', authority.get('root').cert)
  base = mkdtempSync(join(tmpdir(), 'rootling-files-'))
  site = join(base, 'site')
  mkdirSync(join(site, 'docs', 'a b'), { recursive: true })
  mkdirSync(join(site, '.git'))
  mkdirSync(join(base, 'site-secret'))
  for (const [name, text] of Object.entries({
    'site/app.js': 'export {}\n',
    'site/docs/index.html': '<p>docs\n',
    'site/docs/a b/ü.txt': 'umlaut\n',
    'site/.env': 'secret\n',
    'site/.git/config': 'secret\n',
    'site-secret/key.pem': 'secret\n',
    'outside.txt': 'secret\n',
  })) {
    writeFileSync(join(base, name), text)
  }
  symlinkSync('../outside.txt', join(site, 'link.txt'))
  symlinkSync('..', join(site, 'up'))
  symlinkSync('.env', join(site, 'env.txt'))
  symlinkSync('app.js', join(site, 'inner.js'))
})
afterAll(() => {
  authority.remove()
  rmSync(base, { recursive: true, force: true })
})

async function start(directory?: string): Promise<HttpsServer> {
  const handler = createDemoHandler({ directory })
  const server = await createHttpsServer({ pair, handler, port: 0 })
  onTestFinished(() => server.close({ drainMilliseconds: 0 }))
  return server
}

async function curl(server: HttpsServer, path: string, ...args: string[]) {
  const url = server.url.replace(/\/$/, '') + path
  const format = '\n%{http_code}'
  const ran = await run('curl', [
    '-sS',
    '--path-as-is',
    '--max-time',
    '10',
    '--cacert',
    rootFile,
    '-w',
    format,
    ...args,
    url,
  ])
  const cut = ran.stdout.lastIndexOf('\n')
  return { status: Number(ran.stdout.slice(cut + 1)), body: ran.stdout.slice(0, cut) }
}

describe('the demo page', () => {
  test.each([
    ['--http2', 'HTTP/2', 'h2'],
    ['--http1.1', 'HTTP/1.1', 'http/1.1'],
  ])('says with %s how this connection was secured', async (version, http, alpn) => {
    const server = await start()
    const x25519 = [version, '--curves', 'X25519']
    const page = await curl(server, '/', ...x25519, '-i', '-H', 'Accept: text/html,*/*;q=0.8')
    expect(page.status).toBe(200)
    expect(page.body).toContain('TLSv1.3')
    expect(page.body).toContain('<dt>Key exchange</dt><dd>X25519</dd>')
    expect(page.body).toContain('CN=intermediate')
    expect(page.body.toLowerCase()).toContain(
      "content-security-policy: default-src 'none'; style-src 'sha256-",
    )
    expect(page.body.toLowerCase()).toContain('x-content-type-options: nosniff')
    expect(page.body.toLowerCase()).toContain('cache-control: no-store')
    const text = await curl(server, '/', ...x25519)
    expect(text.body).toMatch(
      /^This connection is secured\.\n\nConnection\n {2}Protocol +TLSv1\.3\n/,
    )
    expect(text.body).toMatch(/^ {2}Key exchange +X25519$/m)
    expect(text.body).toMatch(/^ {2}Issued by +CN=intermediate$/m)
    const json = await curl(server, '/?x', ...x25519, '-H', 'Accept: application/json')
    expect(JSON.parse(json.body)).toMatchObject({
      protocol: 'TLSv1.3',
      cipher: expect.stringMatching(/^TLS_/),
      http,
      alpn,
      group: 'X25519',
      groupsOffered: expect.arrayContaining(['X25519', 'P-256']),
      certificate: {
        subjectAltName: ['localhost', '*.app.test', '127.0.0.1', '::1'],
        issuer: 'CN=intermediate',
        fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    })
  })

  test('answers HEAD without a body, other methods with 405, other paths with 404', async () => {
    const server = await start()
    const head = await curl(server, '/', '-I', '-H', 'Accept: text/html')
    expect(head.status).toBe(200)
    expect(head.body.toLowerCase()).toMatch(/content-length: \d{4}/)
    const post = await curl(server, '/', '-i', '-d', 'x=1')
    expect(post.status).toBe(405)
    expect(post.body.toLowerCase()).toContain('allow: get, head')
    expect((await curl(server, '/favicon.ico')).status).toBe(404)
  })

  test.each(['--http1.1', '--http2'])(
    'answers our hosts and refuses rebound ones with 421 (%s)',
    async (version) => {
      const server = await start()
      const status = async (host: string) =>
        (await curl(server, '/', version, '-H', `Host: ${host}`)).status
      for (const host of ['localhost', 'LOCALHOST:1', 'api.app.test', '127.0.0.1', '[::1]:8443']) {
        expect([host, await status(host)]).toEqual([host, 200])
      }
      for (const host of [
        'evil.example',
        'app.test',
        'a.b.app.test',
        '127.0.0.2',
        'localhost.evil.example',
        '127.0.0.1.evil.example',
        'user@localhost',
      ]) {
        expect([host, await status(host)]).toEqual([
          host,
          expect.toSatisfy((code) => code === 421 || code === 400 || code === 0),
        ])
      }
      expect(await status('evil.example')).toBe(421)
    },
  )

  test('escapes what came from outside', () => {
    expect(escapeHtml(`<a href="'&">`)).toBe('&lt;a href=&quot;&#39;&amp;&quot;&gt;')
    const evil = '<script>alert(1)</script>'
    const certificate = {
      subject: evil,
      subjectAltName: [evil],
      issuer: evil,
      serialNumber: evil,
      notBefore: evil,
      notAfter: evil,
      fingerprint: evil,
    }
    const facts = {
      protocol: evil,
      cipher: evil,
      alpn: evil,
      http: evil,
      group: evil,
      groupsOffered: [],
      serverName: evil,
      resumed: false,
      client: certificate,
      certificate,
    }
    expect(demoPage(facts)).not.toContain('<script')
    expect(demoPage(facts)).toContain('&lt;script&gt;')
    expect(demoText({ ...facts, serverName: 'a\u001b[2J\nb\u202e' })).toContain(
      'a\uFFFD[2J\uFFFDb\uFFFD',
    )
  })
})

describe('files under a directory', () => {
  test.each(['--http1.1', '--http2'])(
    'serves files, folders, ranges and ETags with %s',
    async (version) => {
      const server = await start(site)
      const file = await curl(server, '/app.js?v=1', version, '-i')
      expect(file.status).toBe(200)
      expect(file.body.toLowerCase()).toMatch(/content-type: (?:text|application)\/javascript/)
      const etag = /^etag: (.*?)\r?$/im.exec(file.body)?.[1] ?? ''
      expect((await curl(server, '/app.js', version, '-H', `If-None-Match: ${etag}`)).status).toBe(
        304,
      )
      expect((await curl(server, '/app.js', version, '-H', 'If-None-Match: "other"')).status).toBe(
        200,
      )
      expect(await curl(server, '/app.js', version, '-r', '0-5')).toEqual({
        status: 206,
        body: 'export',
      })
      const beyond = await curl(server, '/app.js', version, '-i', '-r', '999-')
      expect(beyond.status).toBe(416)
      expect(beyond.body.toLowerCase()).toContain('content-range: bytes */10')
      expect((await curl(server, '/app.js', version, '-I')).status).toBe(200)
      expect((await curl(server, '/docs/', version)).body).toBe('<p>docs\n')
      const folder = await curl(server, '/docs?x=1', version, '-i')
      expect(folder.status).toBe(301)
      expect(folder.body.toLowerCase()).toContain('location: /docs/?x=1')
      expect((await curl(server, '/docs/a%20b/%C3%BC.txt', version)).body).toBe('umlaut\n')
      expect((await curl(server, '/inner.js', version)).status).toBe(200)
      expect((await curl(server, '/', version)).body).toBe('app.js\ndocs/\ninner.js\n')
    },
  )

  test('lists a folder without index.html, with nothing that is not served', async () => {
    const server = await start(site)
    const evil = `<img src=x onerror=alert(1)>"&' \u202e`
    const folder = join(site, 'list')
    mkdirSync(join(folder, 'sub'), { recursive: true })
    mkdirSync(join(folder, '.well-known'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    for (const name of [evil, 'a:b', 'javascript:alert(1)', 'a%2F', '.env', 'browser.p12'])
      writeFileSync(join(folder, name), name)
    writeFileSync(join(folder, 'key.pem'), pair.key)
    symlinkSync('../../outside.txt', join(folder, 'outside'))
    symlinkSync('../.env', join(folder, 'env'))
    const text = await curl(server, '/list/')
    const names = [evil.replace('\u202e', '\uFFFD'), 'a%2F', 'a:b', 'javascript:alert(1)', 'sub/']
    expect(text).toEqual({ status: 200, body: `${names.join('\n')}\n` })
    const page = await curl(server, '/list/', '-i', '-H', 'Accept: text/html')
    expect(page.body.toLowerCase()).toContain("content-security-policy: default-src 'none'")
    expect(page.body).toContain('<title>/list/</title>')
    expect(page.body).not.toMatch(/<img|\u202e/)
    const links = [...page.body.matchAll(/href="([^"]*)"/g)].map(([, href = '']) => href)
    expect(links[0]).toBe('../')
    for (const href of links.slice(1)) {
      const { origin, pathname } = new URL(href.replaceAll('&#39;', "'"), `${server.url}list/`)
      expect(`${origin}/`).toBe(server.url)
      expect((await curl(server, pathname)).status).toBe(200)
    }
    expect((await curl(server, '/up/')).status).toBe(404)
    expect((await curl(server, '/.git/')).status).toBe(404)
  })

  test('serves /.well-known/ at the top, and no other name with a dot', async () => {
    const server = await start(site)
    const wellKnown = join(site, '.well-known')
    mkdirSync(join(wellKnown, 'acme-challenge'), { recursive: true })
    onTestFinished(() => rmSync(wellKnown, { recursive: true }))
    writeFileSync(join(wellKnown, 'security.txt'), 'Contact: x\n')
    writeFileSync(join(wellKnown, '.secret'), 'secret')
    mkdirSync(join(site, 'docs/.well-known'))
    writeFileSync(join(site, 'docs/.well-known/x.txt'), 'secret')
    onTestFinished(() => rmSync(join(site, 'docs/.well-known'), { recursive: true }))
    expect((await curl(server, '/.well-known/security.txt')).body).toBe('Contact: x\n')
    expect((await curl(server, '/.well-known/')).body).toBe('acme-challenge/\nsecurity.txt\n')
    expect((await curl(server, '/')).body).toContain('.well-known/\n')
    for (const path of ['/.well-known/.secret', '/docs/.well-known/x.txt', '/.well-known/..'])
      expect((await curl(server, path)).status).toBe(404)
  })

  test('lists a thousand names at most', async () => {
    const server = await start(site)
    const many = join(site, 'many')
    mkdirSync(many)
    onTestFinished(() => rmSync(many, { recursive: true }))
    for (let i = 0; i < 1_100; i++) writeFileSync(join(many, `${i}.txt`), '')
    const lines = (await curl(server, '/many/')).body.trimEnd().split('\n')
    expect([lines.length, lines.at(-1)]).toEqual([1_001, '(and more)'])
  })

  test('lets no path escape', async () => {
    const server = await start(site)
    for (const path of [
      '/../outside.txt',
      '/..%2foutside.txt',
      '/%2e%2e/outside.txt',
      '/docs/../../outside.txt',
      '/docs/%2e%2e/%2e%2e/outside.txt',
      '/..%5coutside.txt',
      '/..\\outside.txt',
      '/../site-secret/key.pem',
      '/%252e%252e/outside.txt',
      '/app.js%00.txt',
      '/app.js%2f',
      '/link.txt',
      '/up/outside.txt',
      '/up/',
      '/.env',
      '/.git/config',
      '/env.txt',
      '/docs/..',
      '/app.js/',
      '//app.js',
      '/%E0%A4%A',
      `/${join(base, 'outside.txt')}`,
    ]) {
      for (const version of ['--http1.1', '--http2']) {
        const { status, body } = await curl(server, path, version)
        expect([path, status]).toEqual([
          path,
          expect.toSatisfy((code) => code === 404 || code === 400),
        ])
        expect(body).not.toContain('secret')
      }
    }
  })

  test('never redirects to another host', async () => {
    const server = await start(site)
    const location = await new Promise<string | undefined>((resolve, reject) => {
      const asked = plainRequest(
        { host: server.host, port: server.port, path: '//docs', ca: authority.get('root').cert },
        (response) => {
          response.resume()
          resolve(response.headers.location)
        },
      )
      asked.once('error', reject)
      asked.end()
    })
    expect(location).toBeUndefined()
  })

  test('takes a path apart or refuses it', () => {
    expect(pathSegments('/')).toEqual([])
    expect(pathSegments('/a%20b/c/')).toEqual(['a b', 'c'])
    expect(pathSegments('*')).toBeNull()
    expect(pathSegments('https://localhost/')).toBeNull()
  })
})

test('a log line cannot move the cursor or break the line', () => {
  const line = formatLogLine({
    time: new Date(0),
    remoteAddress: '127.0.0.1',
    method: 'GET',
    path: `/\u001b[2J\r\n\u009b\u202e${'a'.repeat(500)}`,
    status: null,
    protocol: 'HTTP/2',
    tlsVersion: 'TLSv1.3',
    milliseconds: 3,
  })
  expect(line).toMatch(
    /^1970-01-01T00:00:00\.000Z 127\.0\.0\.1 GET \/\[2Ja{296}… aborted HTTP\/2 TLSv1\.3 3 ms$/,
  )
})
