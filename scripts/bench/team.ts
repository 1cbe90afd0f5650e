import { openPostgresServer } from '../../test/helpers/postgres-server.ts'
import { startResponder } from '../../test/acme/responder.ts'
import { median, type Benchmark } from './benchmark.ts'
import { openAccounts, orderMany, type Load } from './orders.ts'
import { cpuSeconds, residentMiB, startDaemon, startReplica } from './servers.ts'
import { openWorld } from './world.ts'

const accounts = 16
const atOnce = 8

/** Measures one replica of a team's server on PostgreSQL beside the daemon with its files. */
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
    const servers = { daemon, replica }
    try {
      const loads: Record<'daemon' | 'replica', Load[]> = { daemon: [], replica: [] }
      let cpu = 0
      for (let round = 0; round < (quick ? 2 : 5); round++)
        for (const name of ['daemon', 'replica'] as const) {
          const clients = await openAccounts(servers[name], accounts)
          const before = await cpuSeconds(replica.pid)
          loads[name].push(await orderMany(clients, count, atOnce, responder))
          if (name === 'replica') cpu = (await cpuSeconds(replica.pid)) - before
          for (const client of clients) client.close()
        }
      const rate = (name: 'daemon' | 'replica'): number =>
        median(loads[name].map(({ perSecond }) => perSecond))
      const failed = loads.replica.reduce((sum, load) => sum + load.failed, 0)
      return [
        {
          name: 'ACME orders of one replica on PostgreSQL, 8 at once',
          unit: '/s',
          ours: rate('replica'),
          peer: { name: 'files', value: rate('daemon') },
          bar: { at: 'least', value: 0.7 },
        },
        {
          name: 'ACME orders of one replica that failed',
          unit: '',
          ours: failed,
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
