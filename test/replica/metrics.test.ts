import { expect, test, vi } from 'vitest'
import { createMetrics } from '../../src/replica/metrics.ts'
import { createCounter, createHistogram } from '../../src/replica/prometheus-text.ts'

/** The samples of a text, without those of the process. */
const samplesOf = (text: string): string[] =>
  text.split('\n').filter((line) => line.startsWith('rootling_'))

test('show what a replica did, and what it was told of the rest', async () => {
  const metrics = createMetrics({
    pool: () => ({ total: 5, idle: 3, waiting: 0 }),
    crlAges: async () => new Map([['team', 3600.5]]),
    certificatesDue: async () => 2,
  })
  metrics.orderCreated()
  metrics.orderCreated()
  metrics.orderIssued()
  metrics.orderFailed('badCSR')
  metrics.validationFailed('http-01', 'connection')
  metrics.validationFailed('http-01', 'connection')
  metrics.rateLimited('orders')
  metrics.requestAnswered({ route: 'new-order', status: 201, milliseconds: 30 })
  metrics.requestAnswered({ route: 'new-order', status: null, milliseconds: 20_000 })
  const text = await metrics.text()
  expect(samplesOf(text)).toEqual([
    'rootling_orders_created_total 2',
    'rootling_orders_issued_total 1',
    'rootling_orders_failed_total{reason="badCSR"} 1',
    'rootling_validations_failed_total{type="http-01",reason="connection"} 2',
    'rootling_http_requests_total{status="201"} 1',
    'rootling_http_requests_total{status="aborted"} 1',
    ...['0.005', '0.01', '0.025'].map(
      (bound) => `rootling_http_request_duration_seconds_bucket{route="new-order",le="${bound}"} 0`,
    ),
    ...['0.05', '0.1', '0.25', '0.5', '1', '2.5', '5', '10'].map(
      (bound) => `rootling_http_request_duration_seconds_bucket{route="new-order",le="${bound}"} 1`,
    ),
    'rootling_http_request_duration_seconds_bucket{route="new-order",le="+Inf"} 2',
    'rootling_http_request_duration_seconds_sum{route="new-order"} 20.03',
    'rootling_http_request_duration_seconds_count{route="new-order"} 2',
    'rootling_rate_limited_requests_total{limit="orders"} 1',
    'rootling_database_connections 5',
    'rootling_database_connections_idle 3',
    'rootling_database_waiting 0',
    'rootling_crl_age_seconds{scope="team"} 3600.5',
    'rootling_certificates_due 2',
  ])
  expect(text).toMatch(/^process_cpu_seconds_total \d+(?:\.\d+)?$/m)
  expect(text).toMatch(/^process_resident_memory_bytes \d+$/m)
  expect(text).toMatch(/^process_start_time_seconds \d+(?:\.\d+)?$/m)
})

test('of a replica that has done nothing are zero, where they have no labels', async () => {
  expect(samplesOf(await createMetrics().text())).toEqual([
    'rootling_orders_created_total 0',
    'rootling_orders_issued_total 0',
  ])
})

test('leave out a value that fails or does not come, and say so', async () => {
  vi.useFakeTimers()
  try {
    const errors: unknown[] = []
    const text = createMetrics({
      pool: () => ({ total: 1, idle: 1, waiting: 0 }),
      crlAges: () => new Promise(() => {}),
      certificatesDue: () => Promise.reject(new Error('no database')),
      onError: (error) => errors.push((error as Error).message),
    }).text()
    await vi.advanceTimersByTimeAsync(2_000)
    expect(samplesOf(await text)).toContain('rootling_database_connections 1')
    expect(await text).not.toMatch(/crl_age|certificates_due/)
    expect(errors).toEqual(['no database', 'a metric took more than 2000 ms'])
  } finally {
    vi.useRealTimers()
  }
})

test('escape label values, and cut long ones', () => {
  const counter = createCounter({ name: 'a_total', help: 'A\nhelp \\ text.' }, ['b'])
  counter.add({ b: 'quote " backslash \\ newline \n end' })
  counter.add({ b: 'x'.repeat(5_000) })
  expect(counter.text()).toBe(
    '# HELP a_total A\\nhelp \\\\ text.\n# TYPE a_total counter\n' +
      'a_total{b="quote \\" backslash \\\\ newline \\n end"} 1\n' +
      `a_total{b="${'x'.repeat(100)}"} 1\n`,
  )
})

test('keep at most 200 sets of labels, and count the rest as one', () => {
  const counter = createCounter({ name: 'a_total', help: 'A.' }, ['b', 'c'])
  const histogram = createHistogram({ name: 'd', help: 'D.' }, ['e'], [1])
  for (let i = 0; i < 10_000; i++) {
    counter.add({ b: String(i), c: 'c' })
    histogram.observe({ e: String(i) }, 0.5)
  }
  counter.add({ b: '7', c: 'c' })
  const lines = counter.text().split('\n')
  expect(lines).toHaveLength(2 + 201 + 1)
  expect(lines).toContain('a_total{b="other",c="other"} 9800')
  expect(lines).toContain('a_total{b="7",c="c"} 2')
  expect(histogram.text()).toContain('d_bucket{e="other",le="1"} 9800\n')
})
