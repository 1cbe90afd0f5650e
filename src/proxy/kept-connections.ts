import type { Http1Connection } from './http1-connection.ts'

/** The most connections without a request that are kept for one upstream. */
const mostKept = 256

/** How long a connection is kept for which its upstream names no time. */
const keptMilliseconds = 120_000

/** How long before the time that an upstream names its connection is given up. */
const marginMilliseconds = 1_000

const sweepMilliseconds = 1_000

/** Connections that wait for their next request. */
export interface KeptConnections {
  /** The one that was used last, which is the least likely to have been closed; `null`: there is none. */
  take(key: string): Http1Connection | null
  /** Keeps a connection, for as long as its upstream has said. */
  put(key: string, connection: Http1Connection, milliseconds: number | null): void
  /** Closes those whose key begins with `prefix`. */
  close(prefix?: string): void
}

export function createKeptConnections(): KeptConnections {
  const kept = new Map<string, Http1Connection[]>()
  let timer: NodeJS.Timeout | null = null

  /** Closes what is too old, and forgets what has been closed. */
  function sweep(): void {
    const now = performance.now()
    for (const [key, connections] of kept) {
      const left = connections.filter((each) => {
        const isGood = each.isIdle && each.keptUntil > now
        if (!isGood) each.destroy()
        return isGood
      })
      if (left.length === 0) kept.delete(key)
      else kept.set(key, left)
    }
    if (kept.size > 0 || timer === null) return
    clearInterval(timer)
    timer = null
  }

  return {
    take(key) {
      const connections = kept.get(key)
      for (;;) {
        const connection = connections?.pop()
        if (connection === undefined) return null
        if (connection.isIdle && connection.keptUntil > performance.now()) return connection
        connection.destroy()
      }
    },
    put(key, connection, milliseconds) {
      const most =
        milliseconds === null
          ? keptMilliseconds
          : Math.min(keptMilliseconds, milliseconds - marginMilliseconds)
      const connections = kept.get(key)
      if (most <= 0 || (connections?.length ?? 0) >= mostKept) {
        connection.destroy()
        return
      }
      connection.keptUntil = performance.now() + most
      if (connections === undefined) kept.set(key, [connection])
      else connections.push(connection)
      timer ??= setInterval(sweep, sweepMilliseconds).unref()
    },
    close(prefix = '') {
      for (const [key, connections] of kept) {
        if (!key.startsWith(prefix)) continue
        kept.delete(key)
        for (const each of connections) each.destroy()
      }
    },
  }
}
