import { once } from 'node:events'
import { connect, createSecureContext, type SecureContext } from 'node:tls'
import { describePeer, median, quantile, type Benchmark } from './benchmark.ts'
import { startCaddyOnDemand, startServeOnDemand, type Server } from './servers.ts'
import { openWorld } from './world.ts'

/** Measures the first handshake for a name that is new to the server, beside Caddy's on_demand. */
export const handshake: Benchmark = {
  name: 'handshake',
  async run({ quick }) {
    const world = await openWorld()
    const servers: Server[] = []
    try {
      const ours = await startServeOnDemand(world)
      servers.push(ours)
      const caddy = await startCaddyOnDemand(world)
      servers.push(caddy)
      const clients = { ours: clientOf(ours), caddy: clientOf(caddy) }
      let failed = 0
      const times = { ours: [] as number[], caddy: [] as number[] }
      for (let i = 0; i < (quick ? 10 : 200); i++) {
        times.ours.push(await timeHandshake(clients.ours, `one${i}.localhost`))
        // This handshake can fail: the validity of Caddy's certificates begins in the second in
        // which they are made, and OpenSSL's clock ticks a little later.
        await timeHandshake(clients.caddy, `one${i}.localhost`).then(
          (time) => times.caddy.push(time),
          () => failed++,
        )
      }
      const row = (name: string, of: (values: readonly number[]) => number) => ({
        name: `first handshake for a name, ${name}`,
        unit: 'ms' as const,
        ours: of(times.ours),
        peer: { name: describePeer('Caddy', failed), value: of(times.caddy) },
        bar: { at: 'most', value: 1 } as const,
      })
      return [
        row('median', median),
        row('95th percentile', (values) => quantile(values, 0.95)),
        await together(clients.ours, 8),
        await together(clients.ours, quick ? 16 : 64),
      ]
    } finally {
      for (const server of servers) await server.stop()
      await world.remove()
    }
  },
}

interface Client {
  readonly port: number
  /** Made once for all handshakes: a client takes longer to read the root than for a handshake. */
  readonly secureContext: SecureContext
}

const clientOf = ({ port, root }: Server): Client => ({
  port,
  secureContext: createSecureContext({ ca: root }),
})

/**
 * Returns the milliseconds from the start of the connection to the end of a handshake with a
 * certificate for the name.
 */
async function timeHandshake(client: Client, servername: string): Promise<number> {
  const begun = performance.now()
  const socket = connect({ ...client, host: '127.0.0.1', servername })
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(20_000) })
    return performance.now() - begun
  } finally {
    socket.destroy()
  }
}

async function together(client: Client, count: number) {
  const names = Array.from({ length: count }, (_, i) => `all${i}of${count}.localhost`)
  const shaken = await Promise.allSettled(names.map((name) => timeHandshake(client, name)))
  return {
    name: `first handshakes that failed, ${count} new names at once`,
    unit: '' as const,
    ours: shaken.filter(({ status }) => status === 'rejected').length,
    peer: null,
    bar: { at: 'most', value: 0 } as const,
  }
}
