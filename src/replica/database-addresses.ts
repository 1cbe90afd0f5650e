import { lookup } from 'node:dns/promises'
import { RootlingError } from '../errors.ts'

export interface WatchOptions {
  /** The name or the address of the database's host; `null`: it is reached by a socket. */
  readonly host: string | null
  /** Returns the addresses of a name; default: the resolver of this machine. */
  readonly find?: ((host: string) => Promise<readonly string[]>) | undefined
  /** In milliseconds, of a clock that is never set. */
  readonly now?: (() => number) | undefined
}

/** How long addresses count before they are looked up again, in milliseconds. */
const lifetime = 60_000
/** How long a validation waits for them at most. A lookup goes on for the next one. */
const patience = 2_000

/**
 * Looks up the addresses of the database, and returns what does so again where the last time is a minute
 * ago, since a failover may have moved its name. While the lookup fails, the last addresses count. Throws
 * `database-away` where the name has none now.
 */
export async function watchAddresses({
  host,
  find = findAddresses,
  now = () => performance.now(),
}: WatchOptions): Promise<() => Promise<readonly string[]>> {
  if (host === null) return () => Promise.resolve([])
  let known: readonly string[]
  try {
    known = await find(host)
  } catch (cause) {
    throw new RootlingError('database-away', `The database's host ${host} has no address.`, {
      hint: 'See --database, and the resolver of this machine',
      cause,
    })
  }
  let at = now()
  let looking: Promise<void> | null = null
  const look = async (): Promise<void> => {
    at = now()
    try {
      const found = await find(host)
      if (found.length > 0) known = found
    } catch {
      // The last addresses count.
    } finally {
      looking = null
    }
  }
  return async () => {
    if (looking === null && now() - at >= lifetime) looking = look()
    if (looking !== null) await Promise.race([looking, wait(patience)])
    return known
  }
}

async function findAddresses(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address)
}

const wait = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds).unref())
