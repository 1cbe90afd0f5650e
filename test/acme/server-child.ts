import { parseArgs } from 'node:util'
import { limitGarbage } from '../../src/daemon/garbage.ts'
import { startAcme } from './harness.ts'

// An ACME server in a process of its own, to be killed or to be measured.
const { values } = parseArgs({
  options: {
    state: { type: 'string', default: '' },
    port: { type: 'string', default: '0' },
    http01: { type: 'string', default: '80' },
  },
})
limitGarbage()
const acme = await startAcme({
  state: { path: values.state, owner: null },
  port: Number(values.port),
  options: { http01Port: Number(values.http01) },
})
process.stdout.write(`ready ${acme.port}\n`)
setInterval(() => {
  if (acme.errors.length > 0) process.stderr.write(`${acme.errors.map(String).join('\n')}\n`)
}, 500)
// Whoever started it has died.
process.stdin.resume().once('end', () => process.exit(1))
process.once('SIGTERM', () => {
  const { rss } = process.memoryUsage()
  process.stdout.write(`rss ${Math.round(rss / 1024 / 1024)} MiB\n`)
  void acme.close().then(() => process.exit(0))
})
