import { expect, test } from 'vitest'
import { createJsonLog, createRoutes, type JsonLogOptions } from '../../src/replica/json-log.ts'
import type { Request } from '../../src/server/http.ts'
import type { LogEntry } from '../../src/server/request-log.ts'

const time = new Date('2026-01-02T03:04:05.678Z')
const routeOf = createRoutes('/acme', ['order', 'directory'], ['/healthz', '/metrics'])

function open(options: Partial<JsonLogOptions> = {}) {
  const lines: string[] = []
  const log = createJsonLog({
    write: (line) => lines.push(line),
    now: () => time,
    routeOf,
    unlogged: new Set(['/healthz', '/metrics']),
    ...options,
  })
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? '') as Record<string, unknown> }
}

const request = (headers: Request['headers'] = {}, remoteAddress = '192.0.2.7'): Request =>
  ({ headers, socket: { remoteAddress } }) as Request

const entry = (members: Partial<LogEntry> = {}): LogEntry => ({
  time,
  remoteAddress: '192.0.2.7',
  method: 'POST',
  path: '/acme/order/SECRETID?token=SECRETQUERY',
  status: 200,
  protocol: 'HTTP/2',
  tlsVersion: 'TLSv1.3',
  milliseconds: 12,
  ...members,
})

test('a request is one line, with its route in place of its path', () => {
  const { log, lines, last } = open()
  const asked = request({ authorization: 'SECRETHEADER' })
  log.account(asked, 'acct-1')
  const id = log.requestId(asked)
  log.request(entry(), asked)
  expect(last()).toEqual({
    time: '2026-01-02T03:04:05.678Z',
    level: 'info',
    event: 'request',
    request: id,
    method: 'POST',
    route: 'order',
    status: 200,
    milliseconds: 12,
    address: '192.0.2.7',
    account: 'acct-1',
  })
  expect(id).toMatch(/^[\da-f-]{36}$/)
  expect(lines.join('')).not.toContain('SECRET')
})

test('a request without an account or an answer, and one that failed', () => {
  const { log, last } = open()
  log.request(entry({ status: null }), request())
  expect(last()).toMatchObject({ level: 'info', status: null })
  expect(last()).not.toHaveProperty('account')
  log.request(entry({ status: 500 }), request())
  expect(last()).toMatchObject({ level: 'error', status: 500 })
})

test('health checks are not logged', () => {
  const { log, lines } = open()
  for (const path of ['/healthz', '/healthz?verbose', '/metrics'])
    log.request(entry({ path }), request())
  expect(lines).toEqual([])
  log.request(entry({ path: '/healthz/x' }), request())
  expect(lines).toHaveLength(1)
})

test('an X-Request-ID that a client sends does not count', () => {
  const { log, last } = open()
  log.request(entry(), request({ 'x-request-id': 'a1B2-c3' }))
  expect(last()['request']).toMatch(/^[\da-f-]{36}$/)
})

test('no text breaks a line, and each line is JSON', () => {
  const { log, lines, last } = open()
  const hostile = 'a\n{"level":"error"}\r\0\u001b[31m\u0085\u2028\u2029\u202eb\ud800"\\'
  log.event('warning', 'order failed', { reason: hostile, time: 'now', level: 'x', count: 3 })
  expect(lines[0]).toMatch(/^[ -~]+\n$/)
  expect(last()).toEqual({
    time: '2026-01-02T03:04:05.678Z',
    level: 'warning',
    event: 'order failed',
    reason: hostile,
    count: 3,
  })
  log.request(entry({ method: `GET${hostile.repeat(9)}` }), request())
  expect(lines[1]).toMatch(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+\n$/u)
  log.event('info', 'long', { text: 'x'.repeat(100_000) })
  expect(lines[2]?.length).toBeLessThan(1_100)
})

test.each([
  ['/acme/order/abc', 'order'],
  ['/acme/directory', 'directory'],
  ['/acme/directory?x', 'directory'],
  ['/acme/__proto__', 'other'],
  ['/acme', 'other'],
  ['/acmeorder/abc', 'other'],
  ['/healthz', '/healthz'],
  ['/', 'other'],
  ['*', 'other'],
])('the route of %s is %s', (path, route) => {
  expect(routeOf(path)).toBe(route)
})
