import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { request as askHttps } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { openHttp2, type Target } from './clients.ts'
import { startProxy } from './harness.ts'

/** A body that no other has a part of: each of its blocks holds its number and the place. */
function bodyOf(number: number, length: number): Buffer {
  const body = Buffer.alloc(length)
  for (let at = 0; at + 8 <= length; at += 8) {
    body.writeUInt32BE(number, at)
    body.writeUInt32BE(at, at + 4)
  }
  return body
}

const shaOf = (data: Buffer): string => createHash('sha256').update(data).digest('hex')

/** Reads slowly: the proxy holds what was not read, while it reads what others asked for. */
async function readSlowly(source: Readable): Promise<string> {
  const hash = createHash('sha256')
  let turn = 0
  for await (const part of source) {
    hash.update(part as Buffer)
    if (turn++ % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  return hash.digest('hex')
}

const lengthOf = (number: number): number => 1 + ((number * 7_919_117) % 900_000)

/** Answers `/NUMBER` by that body, with a length or in chunks of odd sizes. */
async function startBodies(): Promise<Target> {
  const app = createServer((asked, response) => {
    const number = Number(asked.url?.slice(1))
    const body = bodyOf(number, lengthOf(number))
    asked.resume()
    if (number % 2 === 0) {
      response.setHeader('Content-Length', body.length)
      response.end(body)
      return
    }
    for (let at = 0, size = 1; at < body.length; at += size, size = (size * 3) % 50_021)
      response.write(body.subarray(at, at + size))
    response.end()
  }).listen(0, '127.0.0.1')
  await once(app, 'listening')
  onTestFinished(() => {
    app.closeAllConnections()
    app.close()
  })
  return startProxy({
    'app.localhost': `http://127.0.0.1:${(app.address() as AddressInfo).port}`,
  })
}

test('bodies that come at the same time are not mixed up, however slowly they are read', async () => {
  const target = await startBodies()
  const { port, ca, host } = target
  const numbers = Array.from({ length: 60 }, (_, i) => i)
  const session = await openHttp2(target)
  const over2 = async (number: number): Promise<string> =>
    readSlowly(session.request({ ':path': `/${number}`, ':authority': `${host}:${port}` }))
  const over1 = async (number: number): Promise<string> => {
    const headers = { Host: `${host}:${port}` }
    const path = `/${number}`
    const asked = askHttps({ host: '127.0.0.1', port, ca, servername: host, path, headers })
    const answer = once(asked.end(), 'response') as Promise<[Readable]>
    return readSlowly((await answer)[0])
  }
  const found = await Promise.all(
    numbers.map((number) => (number % 4 < 2 ? over2(number) : over1(number))),
  )
  const right = numbers.map((number) => shaOf(bodyOf(number, lengthOf(number))))
  expect(found).toEqual(right)
})

test('clients that go away in the middle leave the bodies of others whole', async () => {
  const target = await startBodies()
  const session = await openHttp2(target)
  const open = (number: number) =>
    session.request({ ':path': `/${number}`, ':authority': `${target.host}:${target.port}` })
  const found = await Promise.all(
    Array.from({ length: 60 }, async (_, number) => {
      const stream = open(number).on('error', () => {})
      if (number % 3 !== 0) return readSlowly(stream)
      await once(stream, 'data')
      stream.close(8)
      return null
    }),
  )
  const right = found.map((_, number) =>
    number % 3 === 0 ? null : shaOf(bodyOf(number, lengthOf(number))),
  )
  expect(found).toEqual(right)
})
