import { describe, expect, test } from 'vitest'
import type { Echo } from './app.ts'
import { answerOf, ask2, openHttp2, speak, statusIn } from './clients.ts'
import { startBoth } from './harness.ts'

const host = 'Host: app.localhost'
const get = (...lines: string[]): string =>
  ['GET /echo HTTP/1.1', ...lines, 'Connection: close', '', ''].join('\r\n')
const post = (...lines: string[]): string => ['POST /echo HTTP/1.1', host, ...lines].join('\r\n')

/** Node 24's own node:http2 ends the session of a body that is longer than its length. */
const endsSession = Number(process.versions.node.split('.')[0]) >= 24

/** Requests that two readers could understand differently, by what is wrong with them. */
const shapes: readonly (readonly [what: string, request: string, status: number])[] = [
  ['no Host', get(), 400],
  ['two Hosts', get(host, 'Host: evil.localhost'), 400],
  ['two equal Hosts', get(host, host), 400],
  ['an empty Host', get('Host:'), 400],
  ['a Host with a user', get('Host: app.localhost@evil.localhost'), 400],
  ['a Host with a quote', get('Host: app.localhost"'), 400],
  ['a list of Hosts', get('Host: app.localhost, evil.localhost'), 400],
  ['an absolute target', get(host).replace('/echo', 'http://evil.localhost/echo'), 400],
  [
    'an absolute target of the same host',
    get(host).replace('/echo', 'https://app.localhost/'),
    400,
  ],
  ['a target without a slash', get(host).replace('/echo', 'echo'), 400],
  ['a target with a fragment', get(host).replace('/echo', '/echo#a'), 400],
  ['a * for GET', get(host).replace('/echo', '*'), 400],
  [
    'a length and an encoding',
    post('Content-Length: 6', 'Transfer-Encoding: chunked', '', '0', '', 'X'),
    400,
  ],
  [
    'an encoding and a length',
    post('Transfer-Encoding: chunked', 'Content-Length: 6', '', '0', '', 'X'),
    400,
  ],
  ['two lengths', post('Content-Length: 1', 'Content-Length: 2', '', 'ab'), 400],
  ['two equal lengths', post('Content-Length: 2', 'Content-Length: 2', '', 'ab'), 400],
  ['a list of lengths', post('Content-Length: 2, 2', '', 'ab'), 400],
  ['a length with a sign', post('Content-Length: +2', '', 'ab'), 400],
  ['a length in hexadecimal', post('Content-Length: 0x2', '', 'ab'), 400],
  ['a negative length', post('Content-Length: -1', '', 'ab'), 400],
  [
    'an encoding that does not end in chunked',
    post('Transfer-Encoding: chunked, identity', '', '0', '', ''),
    400,
  ],
  ['an unknown encoding', post('Transfer-Encoding: xchunked', '', '0', '', ''), 501],
  ['a coding before chunked', post('Transfer-Encoding: gzip, chunked', '', '0', '', ''), 501],
  [
    'two encodings',
    post('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked', '', '0', '', ''),
    400,
  ],
  ['a space before a colon', post('Transfer-Encoding : chunked', '', '0', '', ''), 400],
  ['a tab before a colon', post('Transfer-Encoding\t: chunked', '', '0', '', ''), 400],
  ['a folded field', get(host, 'X-A: 1', '  Transfer-Encoding: chunked'), 400],
  ['a field that begins with a space', get(` ${host}`), 400],
  ['a field without a colon', get(host, 'X-A'), 400],
  ['a field without a name', get(host, ': x'), 400],
  ['a carriage return in a value', get(host, 'X-A: a\rb'), 400],
  ['a zero in a value', get(host, 'X-A: a\0b'), 400],
  ['a bare carriage return at the end of a line', get(host).replace('\r\n', '\r'), 400],
  [
    'a bare line feed in a chunk extension',
    post('Transfer-Encoding: chunked', '', '1;a\nb', 'x', '0', '', ''),
    400,
  ],
  ['a size of a chunk that is none', post('Transfer-Encoding: chunked', '', 'x', '0', '', ''), 400],
  [
    'a size of a chunk with a sign',
    post('Transfer-Encoding: chunked', '', '+1', 'x', '0', '', ''),
    400,
  ],
  [
    'a chunk that is longer than its size',
    post('Transfer-Encoding: chunked', '', '1', 'xy', '0', '', ''),
    400,
  ],
  ['a method that is none', get(host).replace('GET', 'G E T'), 400],
  ['a method in brackets', get(host).replace('GET', '<GET>'), 400],
  ['version 2.0', get(host).replace('1.1', '2.0'), 505],
  ['version 0.9', get(host).replace('1.1', '0.9'), 505],
  [
    'an encoding in HTTP/1.0',
    post('Transfer-Encoding: chunked', '', '0', '', '').replace('1.1', '1.0'),
    400,
  ],
  ['no Host in HTTP/1.0', get().replace('1.1', '1.0'), 400],
  ['an unknown expectation', post('Expect: 200-ok', 'Content-Length: 2', '', 'ab'), 417],
  [
    'an upgrade with a body',
    get(host, 'Upgrade: websocket', 'Content-Length: 3').replace(
      'Connection: close',
      'Connection: Upgrade',
    ) + 'abc',
    400,
  ],
  ['CONNECT', 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n', 405],
]

describe('over HTTP/1.1', () => {
  test.each(shapes)('refuses %s', async (_what, request, status) => {
    const { app, target } = await startBoth()
    const answer = await speak(target, request, (text) => /\r\n\r\n/.test(text))
    expect(answer.split('\r\n')[0]).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    // A body whose end is wrong is seen only after the head was sent on.
    if (!/chunk (?:that|with|ext)|of a chunk|in a chunk/.test(_what)) expect(app.requests()).toBe(0)
  })

  test('closes the connection after a refusal, so that nothing follows', async () => {
    const { app, target } = await startBoth()
    const two = get(host, 'Host: evil.localhost').replace('Connection: close\r\n', '') + get(host)
    expect(statusIn(await speak(target, two))).toBe(400)
    expect(app.requests()).toBe(0)
  })

  // RFC 9112 §7.1.1: a recipient ignores the extensions that it does not know. They end here, since the
  // body is framed anew.
  test('drops chunk extensions, and frames the body anew', async () => {
    const { target } = await startBoth()
    const request = post(
      'Transfer-Encoding: chunked',
      'Connection: close',
      '',
      '5;a=b;c="d"',
      'hello',
      '0;x',
      '',
      '',
    )
    const answer = await speak(target, request)
    expect(statusIn(answer)).toBe(200)
    const { length, raw } = JSON.parse(/\{.*\}/.exec(answer)?.[0] ?? '') as Echo
    expect(length).toBe(5)
    expect(raw).toContain('Transfer-Encoding')
  })

  test('drops a length that Connection names, and frames the body anew', async () => {
    const { target } = await startBoth()
    const request = post('Content-Length: 5', 'Connection: close, Content-Length', '', 'hello')
    const answer = await speak(target, request)
    const { length, raw } = JSON.parse(/\{.*\}/.exec(answer)?.[0] ?? '') as Echo
    expect([length, raw.includes('Content-Length')]).toEqual([5, false])
  })
})

describe('over HTTP/2', () => {
  const authority = 'app.localhost'

  test.each([
    ['a Host that is not its :authority', { host: 'evil.localhost' }, 421],
    ['a scheme that is not https', { ':scheme': 'http' }, 400],
    ['a path with a space', { ':path': '/a b' }, 400],
    ['a path that is an address', { ':path': 'https://evil.localhost/' }, 400],
    ['a path with a fragment', { ':path': '/a#b' }, 400],
    ['an :authority with a user', { ':authority': 'a@app.localhost' }, 400],
    ['an empty :authority', { ':authority': '' }, 400],
    ['a list as :authority', { ':authority': 'app.localhost,evil.localhost' }, 400],
  ])('refuses %s', async (_what, headers, status) => {
    const { app, target } = await startBoth()
    const answer = await ask2(target, '/echo', { headers: { ':authority': authority, ...headers } })
    // nghttp2 itself resets a stream whose :authority it cannot read.
    if (answer.error === null) expect(answer.status).toBe(status)
    else expect(answer.error).toMatch(/PROTOCOL_ERROR/)
    expect(app.requests()).toBe(0)
  })

  test.each(['a\r\nX-Injected: yes', 'a\nX-Injected: yes', 'a\0b'])(
    'lets no line end in a value through: %j',
    async (value) => {
      const { app, target } = await startBoth()
      const answer = await ask2(target, '/echo', { headers: { 'x-a': value } }).catch(() => null)
      // nghttp2 drops such a field, and what it would let through is refused.
      if (answer?.status === 200) {
        const { raw } = JSON.parse(answer.body.toString()) as Echo
        expect(raw.join()).not.toMatch(/injected|x-a/i)
      } else {
        expect(app.requests()).toBe(0)
      }
    },
  )

  test.each([
    ['longer', 'abcdef', '3'],
    ['shorter', 'a', '3'],
  ])(
    'resets the stream of a body that is %s than its length, and not the session',
    async (_, body, length) => {
      const { target } = await startBoth()
      const session = await openHttp2(target)
      const stream = session.request({
        ':method': 'POST',
        ':path': '/echo',
        ':authority': authority,
        'content-length': length,
      })
      stream.end(body)
      const answer = await answerOf(stream)
      expect([answer.status, answer.error]).toEqual([
        null,
        expect.stringMatching(endsSession && body.length > 3 ? /Session closed/ : /PROTOCOL_ERROR/),
      ])
      if (session.destroyed) return
      const next = await answerOf(session.request({ ':path': '/', ':authority': authority }))
      expect(next.status).toBe(200)
    },
  )
})
