import { randomUUID } from 'node:crypto'
import { printableJson, shortened } from '../printable.ts'
import type { Request } from '../server/http.ts'
import type { LogEntry } from '../server/request-log.ts'

type LogLevel = 'info' | 'warning' | 'error'

/** What an event says beside its name. Secrets do not belong here. */
type Members = Readonly<Record<string, string | number | boolean | null | undefined>>

export interface JsonLogOptions {
  /** Writes a line, which ends with a newline. */
  readonly write: (line: string) => void
  readonly now: () => Date
  /** Returns the route of a path, as `createRoutes` does. */
  readonly routeOf: (path: string) => string
  /** The routes whose requests are not logged, such as health checks. */
  readonly unlogged?: ReadonlySet<string> | undefined
}

/** A log of one line of JSON for each event. */
export interface JsonLog {
  event(level: LogLevel, event: string, members?: Members): void
  /** Logs a request that was answered, or whose connection broke: `onRequest` of the HTTPS server. */
  request(entry: LogEntry, request: Request): void
  /** Returns the random ID with which a request is logged, so that its client can name the line. */
  requestId(request: Request): string
  /** Notes which account signed a request. */
  account(request: Request, account: string): void
}

const longestText = 1_000

/** Creates a log. Control characters are escaped, and no text has more than 1,000 characters. */
export function createJsonLog(options: JsonLogOptions): JsonLog {
  const { write, now, routeOf, unlogged } = options
  const ids = new WeakMap<Request, string>()
  const accounts = new WeakMap<Request, string>()

  function line(time: Date, level: LogLevel, event: string, members: Members): void {
    const json = JSON.stringify(
      { time: time.toISOString(), level, event, ...withoutNames(members) },
      (_, value: unknown) => (typeof value === 'string' ? shortened(value, longestText) : value),
    )
    write(`${printableJson(json)}\n`)
  }

  function requestId(request: Request): string {
    const id = ids.get(request) ?? randomUUID()
    ids.set(request, id)
    return id
  }

  return {
    event: (level, event, members = {}) => line(now(), level, event, members),
    request(entry, request) {
      const route = routeOf(entry.path)
      if (unlogged?.has(route) === true) return
      const { time, method, status, milliseconds, remoteAddress } = entry
      const level = status !== null && status >= 500 ? 'error' : 'info'
      line(time, level, 'request', {
        request: requestId(request),
        method: shortened(method, 20),
        route,
        status,
        milliseconds,
        address: remoteAddress,
        account: accounts.get(request),
      })
    },
    requestId,
    account: (request, account) => void accounts.set(request, account),
  }
}

/** Leaves out the names that each line has already. */
function withoutNames(members: Members): Members {
  const { time: _time, level: _level, event: _event, ...others } = members
  return others
}

/**
 * Returns a function that names the route of a path without its IDs and its query: a whole path of
 * `paths`, or the first segment below `base` when it is in `names`; `other` for any other path.
 */
export function createRoutes(
  base: string,
  names: Iterable<string>,
  paths: Iterable<string>,
): (path: string) => string {
  const [known, whole] = [new Set(names), new Set(paths)]
  return (path) => {
    const plain = path.replace(/[?#].*$/s, '')
    if (whole.has(plain)) return plain
    if (!plain.startsWith(`${base}/`)) return 'other'
    const name = plain.slice(base.length + 1).split('/', 1)[0] ?? ''
    return known.has(name) ? name : 'other'
  }
}
