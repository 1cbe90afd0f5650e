import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect, type TLSSocket } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { ephemeralAuthority } from '../../src/ephemeral/index.ts'
import { createHttpsServer } from '../../src/server/https.ts'

const authority = await ephemeralAuthority()
const pair = await authority.certificate('localhost')

/** A server with short limits that waits before it answers, as a stream of events may. */
async function start() {
  const streamed: string[] = []
  const answerLate = (answer: () => void): void => void setTimeout(answer, 1_200)
  const server = await createHttpsServer({
    pair,
    port: 0,
    handler: (_request, response) => void response.end('the handler'),
    limits: {
      idleMilliseconds: 200,
      headersMilliseconds: 400,
      requestMilliseconds: 0,
      leastBytesPerSecond: 0,
      headers: 20,
    },
    taker: {
      http1(request, response: ServerResponse) {
        streamed.push(`HTTP/1 ${request.headers.expect ?? ''}`)
        request.resume()
        answerLate(() => response.end('late'))
      },
      upgrade(request, socket: TLSSocket) {
        streamed.push(`upgrade ${request.method}`)
        answerLate(() => socket.end('upgraded'))
      },
      http2(stream, headers) {
        streamed.push(`HTTP/2 ${headers[':path']}`)
        answerLate(() => {
          stream.respond({ ':status': 200 })
          stream.end('late')
        })
      },
    },
  })
  onTestFinished(() => server.close({ drainMilliseconds: 0 }))
  return { server, streamed }
}

async function speak(port: number, text: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, ca: authority.root, servername: 'localhost' })
  socket.on('error', () => {})
  let answer = ''
  socket.on('data', (part: Buffer) => (answer += part.toString()))
  socket.write(text)
  await once(socket, 'close')
  return answer
}

const head = (...lines: string[]): string => `${[...lines, 'Host: localhost'].join('\r\n')}\r\n\r\n`

test('what waits for longer than the idle limit is not cut, in any protocol', async () => {
  const { server, streamed } = await start()
  const session = connectHttp2(`https://localhost:${server.port}`, { ca: authority.root })
  onTestFinished(() => session.destroy())
  const stream = session.request({ ':path': '/x' })
  let body = ''
  stream.on('data', (part: Buffer) => (body += part.toString()))
  const answers = await Promise.all([
    speak(server.port, head('GET / HTTP/1.1')),
    speak(server.port, head('GET / HTTP/1.1', 'Connection: Upgrade', 'Upgrade: websocket')),
    speak(server.port, head('CONNECT localhost:1 HTTP/1.1')),
    // The body never comes.
    speak(server.port, head('POST / HTTP/1.1', 'Content-Length: 5', 'Expect: 100-continue')),
    once(stream, 'close'),
  ])
  expect(answers.slice(0, 4).map((each) => /(?:late|upgraded)/.exec(String(each))?.[0])).toEqual([
    'late',
    'upgraded',
    'upgraded',
    'late',
  ])
  expect(body).toBe('late')
  expect(streamed.toSorted()).toEqual([
    'HTTP/1 ',
    'HTTP/1 100-continue',
    'HTTP/2 /x',
    'upgrade CONNECT',
    'upgrade GET',
  ])
})

test('too many headers are refused before the taker', async () => {
  const { server, streamed } = await start()
  const many = Array.from({ length: 30 }, (_, i) => `X-${i}: y`)
  expect(await speak(server.port, head('GET / HTTP/1.1', ...many))).toMatch(/^HTTP\/1\.1 431 /)
  const upgrade = ['Connection: Upgrade', 'Upgrade: websocket']
  expect(await speak(server.port, head('GET / HTTP/1.1', ...upgrade, ...many))).toMatch(
    /^HTTP\/1\.1 431 /,
  )
  expect(streamed).toEqual([])
})
