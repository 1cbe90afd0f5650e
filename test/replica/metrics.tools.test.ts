import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createMetrics } from '../../src/replica/metrics.ts'
import { runTool } from '../helpers/tools.ts'

const library = '/usr/lib/python3/dist-packages/prometheus_client'

/** Prints each sample as a line of JSON. */
const script = `
import sys, json
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        print(json.dumps([family.type, sample.name, sample.labels, sample.value]))
`

test.skipIf(!existsSync(library))('are read by Prometheus’ own library', async () => {
  const metrics = createMetrics({
    pool: () => ({ total: 5, idle: 3, waiting: 1 }),
    crlAges: async () => new Map([['team', 60]]),
    certificatesDue: async () => 0,
  })
  const hostile = 'a "b" \\ c\n}{,= é 😀 \\n'
  metrics.orderFailed(hostile)
  metrics.validationFailed('dns-01', 'dns')
  metrics.rateLimited('orders')
  metrics.requestAnswered({ route: 'directory', status: 200, milliseconds: 4 })
  const { exitCode, stdout, stderr } = await runTool(
    'python3',
    ['-c', script],
    await metrics.text(),
  )
  expect([exitCode, stderr]).toEqual([0, ''])
  const read = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as [string, string, Record<string, string>, number])
  expect(read).toContainEqual(['counter', 'rootling_orders_failed_total', { reason: hostile }, 1])
  const infinite = { route: 'directory', le: '+Inf' }
  const bucket = 'rootling_http_request_duration_seconds_bucket'
  expect(read).toContainEqual(['histogram', bucket, infinite, 1])
  expect(read).toContainEqual(['gauge', 'rootling_crl_age_seconds', { scope: 'team' }, 60])
  expect(read.map(([type]) => type)).not.toContain('unknown')
})
