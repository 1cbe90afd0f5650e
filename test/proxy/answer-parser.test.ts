import { request } from 'node:http'
import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import { readAnswer, type Read } from './answers.ts'

const whole = [Infinity]
const octetByOctet = [1]

const answer = (body: string, ...fields: string[]): string =>
  ['HTTP/1.1 200 OK', ...fields, '', body].join('\r\n')
const chunked = (body: string, ...fields: string[]): string =>
  answer(body, 'Transfer-Encoding: chunked', ...fields)

const good: [what: string, text: string, expected: Partial<Read>, method?: string][] = [
  ['a length', answer('abc', 'Content-Length: 3'), { body: 'abc', rest: '' }],
  ['no body', answer('', 'Content-Length: 0'), { body: '' }],
  [
    'what follows it',
    answer('abcHTTP/1.1', 'Content-Length: 3'),
    { body: 'abc', rest: 'HTTP/1.1' },
  ],
  ['no length', answer('abc', 'X: y'), { body: 'abc', fields: ['X', 'y'] }],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\nabc', { body: 'abc' }],
  ['no message', 'HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n', { status: 404, message: '' }],
  ['an empty message', 'HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n', { status: 404, message: '' }],
  [
    'an empty value',
    answer('', 'X:', 'Y: \t ', 'Content-Length: 0'),
    { fields: ['X', '', 'Y', '', 'Content-Length', '0'] },
  ],
  [
    'spaces',
    answer('', 'X: \t a  b \t', 'Content-Length: 0'),
    { fields: ['X', 'a  b', 'Content-Length', '0'] },
  ],
  [
    'chunks',
    chunked('3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n'),
    { body: 'abc0123456789', trailers: [] },
  ],
  ['no chunks', chunked('0\r\n\r\nrest'), { body: '', rest: 'rest' }],
  [
    'many extensions',
    chunked(`${`1;${'a'.repeat(64)}\r\nx\r\n`.repeat(200)}0\r\n\r\n`),
    { body: 'x'.repeat(200) },
  ],
  ['extensions', chunked('3;a=b\r\nabc\r\n0 ; x\r\n\r\n'), { body: 'abc' }],
  [
    'trailers',
    chunked('3\r\nabc\r\n0\r\nX: y\r\nZ: 1\r\n\r\nrest'),
    { trailers: ['X', 'y', 'Z', '1'], rest: 'rest' },
  ],
  [
    'early hints',
    `HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n${answer('a', 'Content-Length: 1')}`,
    { interim: [103], body: 'a' },
  ],
  ['HEAD', answer('', 'Content-Length: 3'), { body: '' }, 'HEAD'],
  ['HEAD, chunked', chunked('rest'), { body: '', rest: 'rest' }, 'HEAD'],
  ['204', 'HTTP/1.1 204 No Content\r\n\r\nrest', { status: 204, body: '', rest: 'rest' }],
  ['304', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\nrest', { body: '', rest: 'rest' }],
]

test.each(good)('reads an answer with %s, in pieces of any size', (_, text, expected, method) => {
  const first = readAnswer(text, whole, method)
  expect(first).toMatchObject(expected)
  for (const size of [1, 2, 3, 5, 7]) expect(readAnswer(text, [size], method)).toEqual(first)
})

const bad: readonly (readonly [string, string])[] = [
  ['length and chunks', chunked('0\r\n\r\n', 'Content-Length: 5')],
  ['two lengths', answer('abc', 'Content-Length: 3', 'Content-Length: 4')],
  ['a length twice', answer('abc', 'Content-Length: 3', 'content-length: 3')],
  ['a list of lengths', answer('abc', 'Content-Length: 3, 3')],
  ['a negative length', answer('', 'Content-Length: -1')],
  ['a length with a sign', answer('abc', 'Content-Length: +3')],
  ['a huge length', answer('', `Content-Length: ${'9'.repeat(20)}`)],
  ['another coding', answer('', 'Transfer-Encoding: gzip, chunked')],
  ['chunked twice', chunked('0\r\n\r\n', 'Transfer-Encoding: chunked')],
  ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a folded line', answer('', 'X: a', ' b', 'Content-Length: 0')],
  ['a space before the colon', answer('', 'Content-Length : 0')],
  ['no colon', answer('', 'Content-Length', 'X: y')],
  ['no name', answer('', ': y')],
  ['a bare CR', answer('', 'X: a\rb', 'Content-Length: 0')],
  ['a bare LF', answer('', 'X: a\nContent-Length: 0')],
  ['lines that LF alone ends', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
  ['a NUL', answer('', 'X: a\0b', 'Content-Length: 0')],
  ['DEL', answer('', 'X: a\x7fb', 'Content-Length: 0')],
  ['another version', 'HTTP/2.0 200 OK\r\n\r\n'],
  ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['a record of TLS', '\x15\x03\x01\x00\x02\x02\x46'],
  ['an empty line first', `\r\n${answer('', 'Content-Length: 0')}`],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['a status below 100', 'HTTP/1.1 099 OK\r\n\r\n'],
  ['a chunk without a size', chunked('\r\nabc\r\n0\r\n\r\n')],
  ['a chunk with a sign', chunked('+3\r\nabc\r\n0\r\n\r\n')],
  ['a chunk with 0x', chunked('0x3\r\nabc\r\n0\r\n\r\n')],
  ['a huge chunk', chunked('FFFFFFFFFFFFFFFF\r\n')],
  ['a chunk that is longer than its size', chunked('3\r\nabcd\r\n0\r\n\r\n')],
  ['a chunk that LF alone ends', chunked('3\nabc\r\n0\r\n\r\n')],
  ['an extension with LF', chunked('3;a\nabc\r\n0\r\n\r\n')],
  ['an extension without end', chunked(`3;${'a'.repeat(5_000)}`)],
  ['a trailer without a colon', chunked('0\r\nX\r\n\r\n')],
  ['a trailer that LF alone ends', chunked('0\r\nX: y\n\r\n\r\n')],
  ['too many fields', answer('', ...Array.from({ length: 513 }, () => 'X: y'))],
  ['a head without end', answer('', `X: ${'a'.repeat(70_000)}`)],
  ['trailers without end', chunked(`0\r\n${'X: abcdefgh\r\n'.repeat(7_000)}`)],
  ['interim answers without end', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(50_000)],
]

test.each(bad)('refuses an answer with %s', (_, text) => {
  for (const sizes of [whole, [5], octetByOctet]) {
    const read = readAnswer(text, sizes)
    expect(read).toEqual(expect.stringMatching(/^(?:It|A|The) |^Its /))
  }
})

test.each([
  answer('ab', 'Content-Length: 3'),
  chunked('3\r\nab'),
  chunked('3\r\nabc\r\n0\r\n'),
  chunked('3\r\nabc\r\n0\r\nX: y\r\n'),
  'HTTP/1.1 200 OK\r\nX: y\r\n',
  'HTTP/1.1 103 Early Hints\r\n\r\n',
  'HTTP',
  '',
])('says that %j is cut off', (text) => {
  for (const sizes of [whole, octetByOctet]) expect(readAnswer(text, sizes)).toBe('cut')
})

/** The same numbers for the same seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const pieces = [
  ...[
    'HTTP/1.1 200 OK\r\n',
    'HTTP/1.0 404 Not Found\r\n',
    'HTTP/1.1 204 \r\n',
    'HTTP/1.1 304 X\r\n',
  ],
  ...[
    'HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n',
    'Content-Length: 5\r\n',
    'Content-Length: 0\r\n',
  ],
  ...['Transfer-Encoding: chunked\r\n', 'Connection: close\r\n', 'Connection: keep-alive\r\n'],
  ...[
    'X: y\r\n',
    'X-Long: a b\tc \r\n',
    'Set-Cookie: a=b\r\n',
    '\r\n',
    '\r\n',
    '\r\n',
    'hello',
    '5\r\nhello\r\n',
  ],
  ...[
    '0\r\n',
    '0\r\n\r\n',
    '3;x=y\r\nabc\r\n',
    'Trailer: T\r\n',
    'T: u\r\n',
    '\n',
    '\r',
    ' ',
    '\0',
    ':',
    '\xff',
  ],
]

/** An answer that is mostly right, and broken at a few places. */
function invent(below: (most: number) => number): string {
  const pick = (list: readonly string[]): string => list[below(list.length)] ?? ''
  const bodies = ['hello', '5\r\nhello\r\n0\r\n\r\n', '1\r\na\r\n3\r\nbcd\r\n0\r\nT: u\r\n\r\n', '']
  const fields = Array.from({ length: below(4) }, () => pick(pieces.slice(5, 13)))
  let text = [pick(pieces.slice(0, 5)), ...fields, '\r\n', pick(bodies)].join('')
  for (let i = below(3); i > 0; i--) {
    const at = below(text.length + 1)
    text = text.slice(0, at) + (below(2) === 0 ? pick(pieces) : '') + text.slice(at + below(3))
  }
  return text
}

/** Reads an answer by node:http's own client; `null`: it refuses it. */
function readByNode(text: string): Promise<Omit<Read, 'rest' | 'interim'> | null> {
  return new Promise((resolve) => {
    const socket = new Duplex({ read() {}, write: (_part, _encoding, done) => done() })
    const asked = request({ createConnection: () => socket, path: '/' })
    asked.on('error', () => resolve(null))
    asked.on('close', () => resolve(null))
    asked.on('response', (response) => {
      let body = ''
      response.on('data', (part: Buffer) => (body += part.toString('latin1')))
      response.on('error', () => resolve(null))
      response.on('end', () => {
        const { statusCode: status = 0, statusMessage: message = '' } = response
        const { rawHeaders: fields, rawTrailers: trailers } = response
        resolve(response.complete ? { status, message, fields, body, trailers } : null)
      })
    })
    asked.end()
    setImmediate(() => {
      socket.push(Buffer.from(text, 'latin1'))
      socket.push(null)
    })
  })
}

test('agrees with node:http on answers that both accept, and accepts none that it refuses', async () => {
  const below = numbers(20_260_730)
  let [both, none] = [0, 0]
  for (let i = 0; i < 3_000; i++) {
    const text = invent(below)
    const ours = readAnswer(text, whole)
    const sizes = Array.from({ length: 20 }, () => 1 + below(9))
    const inPieces = readAnswer(text, sizes)
    if (typeof ours === 'string') expect(inPieces, text).toBeTypeOf('string')
    else expect(inPieces, text).toEqual(ours)
    const theirs = await readByNode(text)
    if (typeof ours === 'string') {
      none++
      continue
    }
    // Node calls the answer before a broken second one broken too.
    if (theirs === null && ours.rest !== '') continue
    const { status, message, fields, body, trailers } = ours
    const same = { status, message, fields, body, trailers }
    expect(theirs, JSON.stringify(text)).toEqual(same)
    both++
  }
  expect(both).toBeGreaterThan(500)
  expect(none).toBeGreaterThan(500)
})
