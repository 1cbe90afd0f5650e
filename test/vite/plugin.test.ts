import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { connect, type ClientHttp2Session } from 'node:http2'
import { get } from 'node:http'
import { get as getSecurely } from 'node:https'
import { createServer as createNetServer, type AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import {
  createServer,
  preview,
  type FileSystemServeOptions,
  type InlineConfig,
  type Plugin,
  type PreviewServer,
  type ViteDevServer,
} from 'vite'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { revoke } from '../../src/certificates/revoke.ts'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import { createServer as createRootlingServer } from '../../src/library/create-server.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'
import { serverCertificate } from '../../src/vite/certificate.ts'
import rootling, { type RootlingPluginOptions } from '../../src/vite/index.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'

// The real Vite, in this process.

beforeEach(() => {
  // Vite must not know that Vitest runs it.
  vi.stubEnv('VITEST', '')
  vi.stubEnv('CI', '')
  return () => vi.unstubAllEnvs()
})

interface Made {
  readonly state: StateDirectory
  readonly ca: string
}

async function withAuthority(): Promise<Made> {
  const state = await temporaryState()
  const { scope } = await ensureAuthority(state, new Date())
  return { state, ca: scope.root.toString() }
}

interface Opened {
  readonly port: number
  readonly urls: readonly string[]
  /** What Vite warned of. */
  readonly said: readonly string[]
  /** The value of `https` in Vite's configuration. */
  readonly https: unknown
  readonly server: ViteDevServer | PreviewServer
}

/** Starts Vite's dev server, or its preview, in an empty project. */
async function open(
  options: RootlingPluginOptions,
  config: InlineConfig = {},
  kind: 'dev' | 'preview' = 'dev',
): Promise<Opened> {
  const root = await temporaryDirectory()
  for (const directory of [root, join(root, 'dist')]) {
    await mkdir(directory, { recursive: true })
    await writeFile(join(directory, 'index.html'), '<title>served</title>')
  }
  const said: string[] = []
  const log = (message: string): void => void said.push(message)
  const all: InlineConfig = {
    root,
    configFile: false,
    customLogger: {
      info: () => {},
      warn: log,
      warnOnce: log,
      error: log,
      clearScreen: () => {},
      hasErrorLogged: () => false,
      hasWarned: false,
    },
    ...config,
    plugins: [...(config.plugins ?? []), rootling(options)],
    server: { port: 0, watch: null, ...config.server },
    preview: { port: 0, ...config.preview },
  }
  const server = kind === 'dev' ? await (await createServer(all)).listen() : await preview(all)
  onTestFinished(() => server.close())
  const { port } = server.httpServer!.address() as AddressInfo
  const { local = [], network = [] } = server.resolvedUrls ?? {}
  const { https } = kind === 'dev' ? server.config.server : server.config.preview
  return { port, urls: [...local, ...network], said, https, server }
}

/** Returns the page at a URL, for a client that trusts `ca`, or why there is none. */
function read(url: string, ca?: string): Promise<string> {
  return new Promise((resolve) => {
    const headers = { accept: 'text/html' }
    const options = { ca, agent: false, headers }
    const request = url.startsWith('https:') ? getSecurely(url, options) : get(url, options)
    request.on('response', (response) => resolve(text(response)))
    request.on('error', ({ code, message }: NodeJS.ErrnoException) => resolve(code ?? message))
  })
}

/** Opens HTTP/2 and returns the serial number of the server's certificate. */
async function serialNumberAt(port: number, ca: string): Promise<string> {
  const session = connect(`https://localhost:${port}`, { ca })
  await once(session, 'connect')
  const { serialNumber } = certificateOf(session)
  expect(session.alpnProtocol).toBe('h2')
  session.close()
  return serialNumber.toLowerCase()
}

const certificateOf = (session: ClientHttp2Session) =>
  (session.socket as TLSSocket).getPeerCertificate()

describe.each(['dev', 'preview'] as const)('%s', (kind) => {
  test('serves HTTPS, by HTTP/2 and HTTP/1.1, to clients that trust the root alone', async () => {
    const { state, ca } = await withAuthority()
    const { port, urls, said } = await open({ home: state.path }, {}, kind)
    expect(urls).toContain(`https://localhost:${port}/`)
    expect(urls.filter((url) => !url.startsWith('https:'))).toEqual([])
    expect(await read(`https://localhost:${port}/`, ca)).toContain('<title>served</title>')
    expect(await read(`https://127.0.0.1:${port}/`)).toMatch(/UNABLE_TO|ECONNREFUSED/)
    expect(await read(`https://localhost:${port}/`)).toContain('UNABLE_TO')
    expect(await serialNumberAt(port, ca)).toMatch(/^[0-9a-f]{32}$/)
    expect(said).toEqual([])
  })

  test('shows a new certificate once the one before was revoked', async () => {
    const { state, ca } = await withAuthority()
    const { port } = await open({ home: state.path }, {}, kind)
    const target = await serialNumberAt(port, ca)
    await revoke(fileStorage(state), { target, reason: 'superseded', now: new Date() })
    await expect.poll(() => serialNumberAt(port, ca)).not.toBe(target)
  })

  test('serves HTTP where there is no authority, makes none, and says so in one line', async () => {
    const state = await temporaryState()
    const { port, said } = await open({ home: state.path }, {}, kind)
    expect(await read(`http://localhost:${port}/`)).toContain('<title>served</title>')
    expect(said).toEqual([
      'rootling: serving HTTP, not HTTPS: There is no certificate authority yet. → rootling install',
    ])
    await expect(ensureAuthority(state, new Date())).resolves.toMatchObject({ created: true })
  })

  test('serves HTTP in CI and says so in one line', async () => {
    vi.stubEnv('CI', 'true')
    const { state } = await withAuthority()
    const { port, said } = await open({ home: state.path }, {}, kind)
    expect(await read(`http://localhost:${port}/`)).toContain('<title>served</title>')
    expect(said).toEqual(['rootling: serving HTTP, not HTTPS: CI is set'])
  })

  test('says which name the authority may not sign, and serves HTTP', async () => {
    const { state } = await withAuthority()
    const names = ['shop.example.com']
    const { port, said } = await open({ home: state.path, names }, {}, kind)
    expect(await read(`http://localhost:${port}/`)).toContain('<title>served</title>')
    expect(said).toEqual([
      'rootling: serving HTTP, not HTTPS: shop.example.com is outside the names that this ' +
        'authority may sign; browsers would refuse it. → rootling ca permit shop.example.com',
    ])
  })

  test('leaves a given https alone, also one that another plugin sets', async () => {
    const { state, ca } = await withAuthority()
    const { certificate } = await serverCertificate({
      home: state.path,
      names: ['other.test'],
      host: undefined,
    })
    const { certPath: cert, keyPath: key, serialNumber } = certificate
    const https = { cert, key }
    const given = await open({ home: state.path }, { server: { https } }, kind)
    expect(given).toMatchObject({ https, said: [] })
    expect(await serialNumberAt(given.port, ca)).toBe(serialNumber)
    const plugins = [{ name: 'other', config: () => ({ server: { https } }) }]
    expect(await open({ home: state.path }, { plugins }, kind)).toMatchObject({ https, said: [] })
  })

  test.each([{ https: true }, { https: {} }])('gives $https a certificate', async ({ https }) => {
    const { state, ca } = await withAuthority()
    const config = { server: { https } } as InlineConfig
    const { port, said } = await open({ home: state.path }, config, kind)
    expect(await serialNumberAt(port, ca)).toMatch(/^[0-9a-f]{32}$/)
    expect(said).toEqual([])
  })

  test('goes on where the authority is gone before the server listens', async () => {
    const { state, ca } = await withAuthority()
    // The configuration of Vite is complete, and then somebody deletes the authority.
    const deleting: Plugin = {
      name: 'deleting',
      configResolved: () => rm(join(state.path, 'scopes'), { recursive: true }),
    }
    const { port, said } = await open({ home: state.path }, { plugins: [deleting] }, kind)
    expect(await read(`https://localhost:${port}/`, ca)).toContain('<title>served</title>')
    expect(said.filter((line) => !line.includes('was not renewed'))).toEqual([])
  })

  test('has the addresses of this machine where it listens on all of them', async () => {
    const { state, ca } = await withAuthority()
    const config = { server: { host: true } }
    const { port, urls, said } = await open({ home: state.path }, config, kind)
    const network = urls.filter((url) => /^https:\/\/\d/.test(url))
    for (const url of network) {
      const unsigned = said.some((line) => line.includes(new URL(url).hostname))
      if (!unsigned) expect(await read(url, ca)).toContain('<title>served</title>')
    }
    expect(await read(`https://127.0.0.1:${port}/`, ca)).toContain('<title>served</title>')
    expect(await read(`https://[::1]:${port}/`, ca)).toContain('<title>served</title>')
  })
})

test('warns where Vite would serve the keys, but not of its preview, which does not', async () => {
  const { state, ca } = await withAuthority()
  const visit = async (fs: FileSystemServeOptions, kind: 'dev' | 'preview' = 'dev') => {
    const { said, port } = await open({ home: state.path }, { server: { fs } }, kind)
    const file = `${state.path}/scopes/local/intermediate-key.pem`
    const answer = await read(`https://localhost:${port}/@fs${file}?raw`, ca)
    const ours = said.filter((line) => line.startsWith('rootling:'))
    return { said: ours, isServed: answer.includes('PRIVATE KEY') }
  }
  expect(await visit({})).toEqual({ said: [], isServed: false })
  expect(await visit({ strict: false }, 'preview')).toEqual({ said: [], isServed: false })
  expect(await visit({ strict: false })).toEqual({
    said: [
      `rootling: server.fs.strict is false, so Vite serves every file, also the keys in ${state.path} → name what it needs in server.fs.allow`,
    ],
    isServed: true,
  })
  const above = dirname(state.path)
  expect(await visit({ allow: [above], deny: [] })).toEqual({
    said: [
      `rootling: Vite serves ${state.path}, which holds keys, since it is in ${above} → narrow server.fs.allow, or move it`,
    ],
    isServed: true,
  })
})

test('answers to further names, and lets hot updates of pages there in', async () => {
  const { state, ca } = await withAuthority()
  const names = ['shop.test', '*.dev.shop.test']
  const { port } = await open({ home: state.path, names }, { server: { host: '127.0.0.1' } })
  const upgrade = (host: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const headers = {
        host: `${host}:${port}`,
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
        'sec-websocket-protocol': 'vite-hmr',
      }
      getSecurely({ host: '127.0.0.1', port, servername: host, ca, agent: false, headers })
        .on('upgrade', ({ statusCode }, socket) => {
          socket.destroy()
          resolve(statusCode)
        })
        .on('response', ({ statusCode }) => resolve(statusCode))
        .on('error', reject)
    })
  expect(await upgrade('shop.test')).toBe(101)
  expect(await upgrade('a.dev.shop.test')).toBe(101)
  await expect(upgrade('other.test')).rejects.toThrow("does not match certificate's altnames")
})

test('takes one name as a text', async () => {
  const { state, ca } = await withAuthority()
  const { port } = await open({ home: state.path, names: 'shop.test' })
  const socket = connectTls({ host: 'localhost', port, servername: 'shop.test', ca })
  await once(socket, 'secureConnect')
  expect(socket.getPeerCertificate().subjectaltname).toContain('DNS:shop.test')
  socket.destroy()
})

test('gives a server of hot updates at a port of its own a new certificate too', async () => {
  const { state, ca } = await withAuthority()
  const free = createNetServer().listen(0)
  await once(free, 'listening')
  const { port } = free.address() as AddressInfo
  await new Promise((resolve) => free.close(resolve))
  await open({ home: state.path }, { server: { hmr: { port } } })
  const shown = async (): Promise<string> => {
    const socket = connectTls({ host: 'localhost', port, servername: 'localhost', ca })
    await once(socket, 'secureConnect')
    const { serialNumber } = socket.getPeerCertificate()
    socket.destroy()
    return serialNumber.toLowerCase()
  }
  const target = await shown()
  await revoke(fileStorage(state), { target, reason: 'superseded', now: new Date() })
  await expect.poll(shown).not.toBe(target)
})

test('serves HTTPS when Vite starts its server again after the authority was made', async () => {
  const state = await temporaryState()
  const { server, said } = await open({ home: state.path })
  expect(said).toHaveLength(1)
  const { scope } = await ensureAuthority(state, new Date())
  await (server as ViteDevServer).restart()
  const { port } = server.httpServer!.address() as AddressInfo
  expect(await serialNumberAt(port, scope.root.toString())).toMatch(/^[0-9a-f]{32}$/)
  expect(said).toHaveLength(1)
})

test('keeps the key out of the configuration', async () => {
  const { state } = await withAuthority()
  const { https } = await open({ home: state.path })
  expect(JSON.stringify(https)).not.toContain('PRIVATE')
})

test('gets a new certificate when this machine has another address', async () => {
  const { state } = await withAuthority()
  let own = ['127.0.0.1', '192.168.7.1', '8.8.8.8']
  const made = await serverCertificate({
    home: state.path,
    names: [],
    host: '0.0.0.0',
    own: () => own,
  })
  expect(made.unsigned).toEqual(['8.8.8.8'])
  const shown: string[] = []
  const following = await made.follow({
    replace: ({ cert }) => shown.push(cert),
    onFailed: (error) => expect.unreachable(String(error)),
  })
  onTestFinished(() => following.stop())
  expect(shown).toEqual([])
  own = ['127.0.0.1', '10.1.2.3']
  await expect.poll(() => shown.length).toBe(1)
  const { subjectAltName } = new X509Certificate(shown[0] ?? '')
  expect(subjectAltName).toContain('10.1.2.3')
  expect(subjectAltName).not.toContain('192.168.7.1')
})

test.each(['0000:0000:0000:0000:0000:0000:0000:0000', '::'])(
  '%s is every address',
  async (host) => {
    const { state } = await withAuthority()
    const options = { home: state.path, names: [], host, own: () => ['192.168.7.1', 'fd00::1'] }
    const { certificate } = await serverCertificate(options)
    const { subjectAltName } = new X509Certificate(certificate.cert)
    expect(subjectAltName).toContain('192.168.7.1')
    expect(subjectAltName).toContain('FD00:0:0:0:0:0:0:1')
  },
)

test('in middleware mode, pages and hot updates come from the server of the library', async () => {
  const { state, ca } = await withAuthority()
  const server = await createRootlingServer(
    { home: state.path, http2: true },
    (request, response) => vite.middlewares(request as never, response as never),
  )
  onTestFinished(() => server[Symbol.asyncDispose]())
  const root = await temporaryDirectory()
  await writeFile(join(root, 'index.html'), '<title>served</title>')
  const vite = await createServer({
    root,
    configFile: false,
    logLevel: 'silent',
    plugins: [rootling({ home: state.path })],
    server: { middlewareMode: true, hmr: { server }, watch: null },
  })
  onTestFinished(() => vite.close())
  await once(server.listen(0), 'listening')
  const { port } = server.address() as AddressInfo
  expect(await read(`https://localhost:${port}/`, ca)).toContain('<title>served</title>')
  expect(await serialNumberAt(port, ca)).toMatch(/^[0-9a-f]{32}$/)
  const headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    'sec-websocket-protocol': 'vite-hmr',
  }
  const request = getSecurely({ host: 'localhost', port, ca, agent: false, headers })
  const [{ statusCode }, socket] = await once(request, 'upgrade')
  socket.destroy()
  expect(statusCode).toBe(101)
})

test('does nothing under Vitest, in a build, and in middleware mode', async () => {
  const { state } = await withAuthority()
  const plugin = rootling({ home: state.path })
  const apply = plugin.apply as (config: object, env: object) => boolean
  expect(apply({}, { command: 'build' })).toBe(false)
  expect(apply({}, { command: 'serve' })).toBe(true)
  const server = await createServer({
    root: await temporaryDirectory(),
    configFile: false,
    logLevel: 'silent',
    plugins: [rootling({ home: state.path })],
    server: { middlewareMode: true, ws: false, watch: null },
  })
  onTestFinished(() => server.close())
  expect(server.config.server.https).toBeUndefined()
  // Vitest, and the builds of React Router and TanStack Start.
  for (const variable of ['VITEST', 'IS_RR_BUILD_REQUEST', 'TSS_PRERENDERING']) {
    vi.stubEnv(variable, 'true')
    expect(apply({}, { command: 'serve' })).toBe(false)
    vi.stubEnv(variable, '')
  }
})
