import { mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { sendFile } from '../../src/sites/static-files.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

/** Exchanges two names in a directory as fast as it can, in a thread of its own. */
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

async function serve(directory: string): Promise<(path: string) => Promise<string>> {
  const server = createServer((request, response) => {
    void sendFile(request, response, directory).then((sent) => {
      if (!sent) response.writeHead(404).end()
    })
  })
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
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
    const until = Date.now() + 4_000
    // Both happen within seconds: the file as it is, and as a link.
    for (let i = 0; i < 200 || (answers.size < 2 && i < 20_000) || Date.now() < until; i++) {
      const answer = await ask('/folder/page.txt')
      answers.set(answer, (answers.get(answer) ?? 0) + 1)
    }
    expect([...answers.keys()].toSorted()).toEqual(['200 inside', '404 '])
    expect(descriptors()).toBeLessThan(before + 10)
  },
)

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
