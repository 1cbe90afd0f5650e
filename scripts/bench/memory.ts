import { setTimeout as sleep } from 'node:timers/promises'
import { startResponder } from '../../test/acme/responder.ts'
import type { Benchmark } from './benchmark.ts'
import { openAccounts, orderMany } from './orders.ts'
import { cpuSeconds, residentMiB, startCaddyAcme, startDaemon } from './servers.ts'
import { openWorld } from './world.ts'

/** Measures the memory and CPU time of the idle daemon, and its memory after 20,000 orders. */
export const memory: Benchmark = {
  name: 'memory',
  async run({ quick }) {
    const world = await openWorld()
    const responder = await startResponder()
    const daemon = await startDaemon(world, responder.port)
    const caddy = await startCaddyAcme(world)
    try {
      const idleSeconds = quick ? 2 : 90
      await sleep(quick ? 500 : 5_000)
      const before = await cpuSeconds(daemon.pid)
      await sleep(idleSeconds * 1_000)
      const idle = {
        ours: await residentMiB(daemon.pid),
        caddy: await residentMiB(caddy.pid),
        cpu: ((await cpuSeconds(daemon.pid)) - before) * (3600 / idleSeconds),
      }
      const clients = await openAccounts(daemon, quick ? 2 : 20)
      const total = quick ? 80 : 20_000
      await orderMany(clients, total / 4, 8, responder)
      const early = await residentMiB(daemon.pid)
      const { failed } = await orderMany(clients, (total * 3) / 4, 8, responder)
      const late = await residentMiB(daemon.pid)
      for (const client of clients) client.close()
      const orders = total.toLocaleString('en')
      return [
        {
          name: 'daemon, idle memory',
          unit: 'MiB',
          ours: idle.ours,
          peer: { name: 'Caddy', value: idle.caddy },
          bar: null,
        },
        {
          name: `daemon, CPU in an hour of idling, from ${idleSeconds} s`,
          unit: 'ms',
          ours: idle.cpu * 1_000,
          peer: null,
          bar: null,
        },
        {
          name: `daemon, memory after ${orders} orders`,
          unit: 'MiB',
          ours: late,
          peer: { name: 'after a quarter of them', value: early },
          bar: { at: 'most', value: 1.1 },
        },
        {
          name: `ACME orders that failed, of ${orders}`,
          unit: '',
          ours: failed,
          peer: null,
          bar: { at: 'most', value: 0 },
        },
      ]
    } finally {
      await daemon.stop()
      await caddy.stop()
      await responder.close()
      await world.remove()
    }
  },
}
