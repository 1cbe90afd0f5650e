import { mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, get } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { connect, type AddressInfo, type Server } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { keptCertificate } from '../../src/certificates/kept.ts'
import type { Request, Response } from '../../src/server/http.ts'
import { listFolder, sendFile } from '../../src/sites/static-files.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'

/** Exchanges two names in a directory as fast as it can; runs in a thread of its own. */
const swapper = `
const { renameSync } = require('node:fs')
const { workerData: [a, b, spare] } = require('node:worker_threads')
for (;;)
  try {
    renameSync(a, spare)
    renameSync(b, a)
    renameSync(spare, b)
  } catch {}
`

function swap(a: string, b: string): void {
  const worker = new Worker(swapper, { eval: true, workerData: [a, b, `${a}.spare`] })
  onTestFinished(async () => void (await worker.terminate()))
}

async function answer(request: Request, response: Response, directory: string): Promise<void> {
  const sent = await sendFile(request, response, directory)
  if (!sent) response.writeHead(404).end()
}

async function listen(server: Server): Promise<number> {
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

async function serve(directory: string): Promise<(path: string) => Promise<string>> {
  const server = createServer((request, response) => void answer(request, response, directory))
  const port = await listen(server)
  return (path) =>
    new Promise((resolve, reject) => {
      const request = get({ port, path, agent: false }, (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (text: string) => (body += text))
        response.on('end', () => resolve(`${response.statusCode} ${body}`))
      })
      request.on('error', reject)
    })
}

const descriptors = (): number => readdirSync('/proc/self/fd').length

test.each(['file', 'folder'])(
  'a %s that is swapped for a link to the outside never leads there',
  async (kind) => {
    const directory = await temporaryDirectory()
    const [site, outside] = [join(directory, 'site'), join(directory, 'outside')]
    mkdirSync(join(site, 'folder'), { recursive: true })
    mkdirSync(outside)
    writeFileSync(join(site, 'folder/page.txt'), 'inside')
    writeFileSync(join(outside, 'page.txt'), 'secret')
    if (kind === 'file') {
      symlinkSync(join(outside, 'page.txt'), join(site, 'folder/link'))
      swap(join(site, 'folder/page.txt'), join(site, 'folder/link'))
    } else {
      symlinkSync(outside, join(site, 'link'))
      swap(join(site, 'folder'), join(site, 'link'))
    }
    const ask = await serve(site)
    const before = descriptors()
    const answers = new Map<string, number>()
    // The file and the link are both met within a few hundred requests.
    for (let i = 0; i < 600 || (answers.size < 2 && i < 20_000); i++) {
      const answer = await ask('/folder/page.txt')
      answers.set(answer, (answers.get(answer) ?? 0) + 1)
    }
    expect([...answers.keys()].toSorted()).toEqual(['200 inside', '404 '])
    expect(descriptors()).toBeLessThan(before + 10)
  },
)

test('a folder that is swapped for a link to the outside is never listed from there', async () => {
  const directory = await temporaryDirectory()
  const [site, outside] = [join(directory, 'site'), join(directory, 'outside')]
  mkdirSync(join(site, 'folder'), { recursive: true })
  mkdirSync(outside)
  writeFileSync(join(site, 'folder/inside.txt'), 'inside')
  writeFileSync(join(outside, 'inside.txt'), 'outside')
  writeFileSync(join(outside, 'secret.txt'), 'secret')
  symlinkSync(outside, join(site, 'link'))
  swap(join(site, 'folder'), join(site, 'link'))
  const before = descriptors()
  const seen = new Set<string>()
  for (let i = 0; i < 600 || (seen.size < 2 && i < 20_000); i++)
    seen.add((await listFolder('/folder/', site))?.entries.join() ?? 'null')
  expect(seen).toContain('inside.txt')
  expect([...seen].join(' ')).not.toContain('secret')
  expect(descriptors()).toBeLessThan(before + 10)
})

test('a file, a range and a file without contents are sent as before, and nothing stays open', async () => {
  const directory = await temporaryDirectory()
  writeFileSync(join(directory, 'page.html'), '<p>text</p>')
  writeFileSync(join(directory, 'empty.txt'), '')
  renameSync(join(directory, 'page.html'), join(directory, 'other.html'))
  symlinkSync('other.html', join(directory, 'inner.html'))
  const ask = await serve(directory)
  const before = descriptors()
  for (let i = 0; i < 50; i++) {
    expect(await ask('/other.html')).toBe('200 <p>text</p>')
    expect(await ask('/inner.html')).toBe('200 <p>text</p>')
    expect(await ask('/empty.txt')).toBe('200 ')
  }
  expect(descriptors()).toBeLessThan(before + 10)
})

test('a client that hangs up at any moment leaves no file open', async () => {
  const directory = await temporaryDirectory()
  writeFileSync(join(directory, 'large.bin'), Buffer.alloc(8 * 1024 * 1024))
  const answered: Promise<void>[] = []
  const handler = (request: Request, response: Response): void => {
    answered.push(answer(request, response, directory).catch(() => undefined))
  }
  const http1 = await listen(createServer(handler))
  const http2 = await listen(createHttp2Server(handler))
  const before = descriptors()
  for (let i = 0; i < 120; i++) {
    const waited = i % 6
    const socket = connect(http1, '127.0.0.1').on('error', () => {})
    socket.write('GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n')
    const session = connectHttp2(`http://127.0.0.1:${http2}`).on('error', () => {})
    const stream = session.request({ ':path': '/large.bin' }).on('error', () => {})
    stream.resume()
    await sleep(waited)
    if (i % 2 === 0) stream.close()
    else session.destroy()
    socket.destroy()
    session.destroy()
  }
  await sleep(200)
  expect(answered.length).toBeGreaterThan(100)
  await Promise.all(answered)
  expect(descriptors()).toBeLessThan(before + 10)
})

test('a client that has hung up before the file is open leaves it closed', async () => {
  const directory = await temporaryDirectory()
  writeFileSync(join(directory, 'page.txt'), 'text')
  const seen: Promise<boolean>[] = []
  // Waits until the client is gone, so that no event tells of it any more.
  const late = (request: Request, response: Response): void => {
    response.once('close', () => void seen.push(sendFile(request, response, directory)))
  }
  const http1 = await listen(createServer(late))
  const http2 = await listen(createHttp2Server(late))
  const before = descriptors()
  for (let i = 0; i < 20; i++) {
    const socket = connect(http1, '127.0.0.1').on('error', () => {})
    socket.write('GET /page.txt HTTP/1.1\r\nHost: localhost\r\n\r\n')
    const session = connectHttp2(`http://127.0.0.1:${http2}`).on('error', () => {})
    session.request({ ':path': '/page.txt' }).on('error', () => {})
    await sleep(20)
    socket.destroy()
    session.destroy()
  }
  await sleep(100)
  expect(seen).toHaveLength(40)
  expect(await Promise.all(seen)).toEqual(seen.map(() => true))
  expect(descriptors()).toBeLessThan(before + 10)
})

test('serves nothing of a state directory, below the served one or above it', async () => {
  const state = await temporaryState()
  const { scope } = await ensureAuthority(state, new Date())
  await keptCertificate(state, ['localhost'], {}, new Date())
  writeFileSync(join(dirname(state.path), 'page.txt'), 'page')
  const name = basename(state.path)
  const ask = await serve(dirname(state.path))
  expect(await ask('/page.txt')).toBe('200 page')
  for (const path of ['certificates.jsonl', 'CACHEDIR.TAG', 'lock', 'scopes/local/root.pem'])
    expect(await ask(`/${name}/${path}`)).toBe('404 ')
  expect(await listFolder('/', dirname(state.path))).toMatchObject({ entries: ['page.txt'] })
  expect(await listFolder(`/${name}/`, dirname(state.path))).toBeNull()
  expect(await listFolder('/', state.path)).toBeNull()
  expect(await (await serve(state.path))('/certificates.jsonl')).toBe('404 ')
  expect(await (await serve(dirname(scope.rootPath)))('/intermediate-key.pem')).toBe('404 ')
})

test('serves certificates, and no private keys', async () => {
  const directory = await temporaryDirectory()
  const pkcs8 = encodePem('PRIVATE KEY', Buffer.alloc(100))
  const certificate = encodePem('CERTIFICATE', Buffer.alloc(100))
  const files = {
    'key.pem': pkcs8,
    'ec.pem': `\n${encodePem('EC PRIVATE KEY', Buffer.alloc(100))}`,
    'encrypted.pem': encodePem('ENCRYPTED PRIVATE KEY', Buffer.alloc(100)),
    'full.pem': certificate.repeat(20) + pkcs8,
    'marked.pem': `\ufeff${pkcs8}`,
    'openssl.pem': `Bag Attributes\n    localKeyID: 01\n${pkcs8}`,
    'account.json': JSON.stringify({ private_key: pkcs8 }),
    'commented.txt': `# my key\n${pkcs8}`,
    'printed.txt': `Private-Key: (256 bit)\npriv:\n    00:01\n${pkcs8}`,
    'pgp.asc': encodePem('PGP PRIVATE KEY BLOCK', Buffer.alloc(100)),
    'long.pem': pkcs8 + '\n'.repeat(100_000),
    'browser.p12': 'any text',
    'browser.p12.password': 'any text',
    'server.key': 'any text',
    'server.key.der': 'any text',
    'text.html': `<pre>\n${pkcs8}</pre>`,
    'cert.pem': certificate,
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  const ask = await serve(directory)
  for (const [name, text] of Object.entries(files))
    expect(await ask(`/${name}`)).toBe(/^(?:cert|text)/.test(name) ? `200 ${text}` : '404 ')
})
