import { expect, test } from 'vitest'
import { answerFields, fieldsObject, requestFields, trailerFields } from '../../src/proxy/fields.ts'

const client = {
  method: 'GET',
  authority: 'app.localhost:8443',
  raw: [] as string[],
  remoteAddress: '::ffff:127.0.0.1',
  framing: 'none' as const,
}
const fieldsFor = (raw: string[], more: object = {}): string[] =>
  requestFields({ ...client, raw, ...more } as never, 'app.localhost:8443', 1)

test('an address of IPv6 is quoted in Forwarded, and a mapped one shown as IPv4', () => {
  expect(fieldsFor([]).join('|')).toContain('X-Forwarded-For|127.0.0.1|')
  expect(fieldsFor([], { remoteAddress: '::1' })).toContain(
    'for="[::1]";host="app.localhost:8443";proto=https',
  )
})

test('cookies that HTTP/2 split are joined', () => {
  const fields = fieldsFor(['cookie', 'a=1', 'x-a', 'b', 'cookie', 'b=2'])
  expect(fields.filter((each) => each.startsWith('a=1'))).toEqual(['a=1; b=2'])
})

test('of TE, trailers alone is kept, as a field of the connection', () => {
  const fields = fieldsFor(['TE', 'gzip, trailers;q=0.5'])
  expect(fields.slice(-4)).toEqual(['TE', 'trailers', 'Connection', 'TE, keep-alive'])
  expect(fieldsFor(['TE', 'gzip'])).not.toContain('TE')
})

test('a body without a length is framed by chunks, whatever the method', () => {
  expect(fieldsFor([], { framing: 'chunked' })).toContain('Transfer-Encoding')
  expect(fieldsFor([], { method: 'PROPFIND' })).toContain('Content-Length')
  expect(fieldsFor([])).not.toContain('Content-Length')
})

test('Connection may name several fields, over several lines, but not the Host', () => {
  const fields = fieldsFor([
    'Connection',
    'close, X-A',
    'connection',
    'x-b,host',
    'X-A',
    '1',
    'x-B',
    '2',
  ])
  expect(fields.join('|')).toMatch(/^Host\|app\.localhost:8443\|X-Forwarded-For/)
  expect(answerFields(['Connection', 'X-A', 'X-A', '1', 'Keep-Alive', '5', 'X-B', '2'])).toEqual([
    'X-B',
    '2',
  ])
})

test('trailers cannot frame, route or authenticate', () => {
  const raw = [
    'Content-Length',
    '5',
    'Host',
    'evil',
    'X-Forwarded-For',
    '6',
    'Set-Cookie',
    'a',
    'X',
    '1',
  ]
  expect(trailerFields(raw)).toEqual(['X', '1'])
})

test('values of one name are joined for HTTP/2, cookies are a list, and no name is special', () => {
  const object = fieldsObject([
    'A',
    '1',
    'a',
    '2',
    'A',
    '1, 2',
    'Set-Cookie',
    'x',
    '__proto__',
    'y',
    '__proto__',
    'y',
  ])
  expect({ ...object }).toEqual({ a: '1, 2', 'set-cookie': ['x'], ['__proto__']: 'y' })
})
