import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** A TCP proxy before PostgreSQL, or before PgBouncer, that cuts answers to commits off. */
export interface CuttingProxy {
  readonly port: number
  /** Where new connections go from now on. Those that are open stay. */
  target(port: number): void
  /** The share of commits, from 0 to 1, whose connection is cut before they are answered. */
  cut(share: number): void
  /**
   * `away`: cuts all connections and refuses new ones; `silent`: passes nothing on, and does not say so,
   * as a machine does that has lost its power; `open`: passes on again what comes from now on.
   */
  become(state: 'open' | 'away' | 'silent'): void
  /** How many connections were cut at a commit. */
  readonly cuts: number
  close(): void
}

export async function startCuttingProxy(behind: number): Promise<CuttingProxy> {
  let [target, share, state, cuts] = [behind, 0, 'open' as 'open' | 'away' | 'silent', 0]
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    if (state === 'away') {
      client.on('error', () => undefined)
      client.resetAndDestroy()
      return
    }
    const far = connect(target, '127.0.0.1')
    let isCutting = false
    const end = (): void => [client, far].forEach((each) => each.destroy())
    for (const one of [client, far]) {
      sockets.add(one)
      one.setNoDelay(true)
      one.on('error', end).on('close', () => {
        sockets.delete(one)
        end()
      })
    }
    client.on('data', (chunk) => {
      if (state === 'silent') return
      const isCommit = chunk.includes('rootling.commit_unit') || chunk.includes('COMMIT')
      isCutting ||= isCommit && Math.random() < share
      // Half of them are cut at once, when the commit may happen or not; the others once the database
      // has answered, when it has happened.
      if (isCutting && isCommit && Math.random() < 0.5) {
        cuts++
        far.write(chunk, end)
      } else far.write(chunk)
    })
    far.on('data', (chunk) => {
      if (state === 'silent') return
      if (isCutting) {
        cuts++
        end()
      } else client.write(chunk)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cutAll = (): void => sockets.forEach((each) => each.resetAndDestroy())
  return {
    port: (server.address() as AddressInfo).port,
    target: (port) => void (target = port),
    cut: (given) => void (share = given),
    become(next) {
      state = next
      if (next === 'away') cutAll()
    },
    get cuts() {
      return cuts
    },
    close() {
      server.close()
      cutAll()
    },
  }
}
