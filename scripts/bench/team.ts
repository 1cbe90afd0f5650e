import { openPostgresServer } from '../../test/helpers/postgres-server.ts'
import { startResponder } from '../../test/acme/responder.ts'
import { describePeer, median, type Benchmark } from './benchmark.ts'
import { openAccounts, orderMany, type Load } from './orders.ts'
import { cpuSeconds, residentMiB, startDaemon, startPebble, startReplica } from './servers.ts'
import { openWorld } from './world.ts'

const accounts = 16
const atOnce = 8

/**
 * Measures one replica of a team's server on PostgreSQL beside the daemon with its files, and beside pebble,
 * which keeps all in memory.
 */
export const team: Benchmark = {
  name: 'team',
  async run({ quick }) {
    const world = await openWorld()
    // As in acme.ts: a port of root alone, whose owner need not be looked up.
    const responder = await startResponder(undefined, process.getuid?.() === 0 ? 80 : 0)
    const postgres = await openPostgresServer({ fsync: true })
    const count = quick ? 32 : 256
    const daemon = await startDaemon(world, responder.port)
    const replica = await startReplica(world, responder.port, postgres)
    const pebble = await startPebble(world, responder.port)
    const servers = { daemon, replica, pebble }
    const names = ['daemon', 'replica', 'pebble'] as const
    try {
      const loads = { daemon: [] as Load[], replica: [] as Load[], pebble: [] as Load[] }
      let cpu = 0
      for (let round = 0; round < (quick ? 2 : 5); round++)
        for (const name of names) {
          const clients = await openAccounts(servers[name], accounts)
          const before = await cpuSeconds(replica.pid)
          loads[name].push(await orderMany(clients, count, atOnce, responder))
          if (name === 'replica') cpu = (await cpuSeconds(replica.pid)) - before
          for (const client of clients) client.close()
        }
      const rate = (name: (typeof names)[number]): number =>
        median(loads[name].map(({ perSecond }) => perSecond))
      const failedAt = (name: (typeof names)[number]): number =>
        loads[name].reduce((sum, load) => sum + load.failed, 0)
      return [
        {
          name: 'ACME orders of one replica on PostgreSQL, 8 at once',
          unit: '/s',
          ours: rate('replica'),
          peer: { name: 'files', value: rate('daemon') },
          bar: { at: 'least', value: 0.7 },
        },
        {
          name: 'ACME orders of one replica on PostgreSQL, 8 at once',
          unit: '/s',
          ours: rate('replica'),
          peer: { name: describePeer('pebble', failedAt('pebble')), value: rate('pebble') },
          bar: null,
        },
        {
          name: 'ACME orders of one replica that failed',
          unit: '',
          ours: failedAt('replica'),
          peer: null,
          bar: { at: 'most', value: 0 },
        },
        {
          name: 'CPU of one replica for an order',
          unit: 'ms',
          ours: (cpu * 1000) / count,
          peer: null,
          bar: null,
        },
        {
          name: 'memory of one replica after that',
          unit: 'MiB',
          ours: await residentMiB(replica.pid),
          peer: null,
          bar: { at: 'most', value: 90 },
        },
      ]
    } finally {
      for (const server of Object.values(servers)) await server.stop()
      await postgres.close()
      await responder.close()
      await world.remove()
    }
  },
}
