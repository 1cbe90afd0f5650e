import { startResponder } from '../../test/acme/responder.ts'
import { describePeer, median, type Benchmark, type Row } from './benchmark.ts'
import { openAccounts, orderMany, type Load } from './orders.ts'
import { startCaddyAcme, startDaemon, startPebble, type AcmeServer } from './servers.ts'
import { openWorld } from './world.ts'

const settings = [
  { name: 'one at a time', accounts: 1, atOnce: 1 },
  { name: '8 at once, 64 accounts', accounts: 64, atOnce: 8 },
  { name: '8 at once, one account', accounts: 1, atOnce: 8 },
] as const

/**
 * Measures ACME orders per second of Rootling, pebble and Caddy, with the same client and the same
 * http-01 responder.
 */
export const acme: Benchmark = {
  name: 'acme',
  async run({ quick }) {
    const world = await openWorld()
    // Caddy validates on port 80 only, which only root can open; `run.mjs` gives root a network
    // namespace in which the port is free.
    const http01 = process.getuid?.() === 0 ? 80 : 0
    const responder = await startResponder(undefined, http01)
    const starts = new Map<string, () => Promise<AcmeServer>>([
      ['ours', () => startDaemon(world, responder.port)],
      ['pebble', () => startPebble(world, responder.port)],
    ])
    if (http01 === 80) starts.set('Caddy', () => startCaddyAcme(world))
    const servers = new Map<string, AcmeServer>()
    try {
      for (const [title, start] of starts) servers.set(title, await start())
      const rows: Row[] = []
      for (const { name, accounts, atOnce } of settings) {
        const loads = new Map<string, Load[]>()
        for (let round = 0; round < (quick ? 1 : 5); round++)
          for (const [title, start] of starts) {
            const wanted = quick ? Math.min(accounts, 8) : accounts
            const open = () => openAccounts(servers.get(title) as AcmeServer, wanted)
            const restart = async () => {
              await servers.get(title)?.stop()
              servers.set(title, await start())
            }
            const clients = await open().catch(async (error: unknown) => {
              // With hundreds of accounts, pebble sometimes stops answering.
              if (title === 'ours') throw error
              await restart()
              return open()
            })
            const load = await orderMany(clients, quick ? 16 : 128, atOnce, responder)
            for (const client of clients) client.close()
            if (load.isStuck) await restart()
            loads.set(title, [...(loads.get(title) ?? []), load])
          }
        const rate = (title: string): number =>
          median((loads.get(title) ?? []).map(({ perSecond }) => perSecond))
        const failed = (title: string): number =>
          (loads.get(title) ?? []).reduce((sum, load) => sum + load.failed, 0)
        for (const title of servers.keys())
          if (title !== 'ours')
            rows.push({
              name: `ACME orders, ${name}`,
              unit: '/s',
              ours: rate('ours'),
              peer: { name: describePeer(title, failed(title)), value: rate(title) },
              bar: { at: 'least', value: 1 },
            })
        rows.push({
          name: `ACME orders that failed, ${name}`,
          unit: '',
          ours: failed('ours'),
          peer: null,
          bar: { at: 'most', value: 0 },
        })
      }
      return rows
    } finally {
      for (const server of servers.values()) await server.stop()
      await responder.close()
      await world.remove()
    }
  },
}
