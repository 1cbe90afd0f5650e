import { RootlingError } from '../errors.ts'
import { printable } from '../printable.ts'
import { quotedPath, shellWord } from '../shell-word.ts'
import { parseIdentifier } from '../x509/identifier.ts'

/** Who asked for a route, which says when it goes. */
export type RouteOwner =
  /** A person, by `proxy add`. */
  | { readonly kind: 'hand' }
  /** A rootling.json, given by the absolute path of its directory. */
  | { readonly kind: 'project'; readonly project: string }
  /**
   * A `rootling run`, while it runs. `started` tells it from a later process with the same pid; it is
   * empty where the system does not say when a process began.
   */
  | { readonly kind: 'run'; readonly pid: number; readonly started: string }

/** Which requests go to which server. */
export interface Route {
  /**
   * A host in lower case; `*.shop.localhost`: every host below shop.localhost, however deep; `*`: every
   * host.
   */
  readonly host: string
  /** Without a slash at its end; `/`: every path. */
  readonly path: string
  /** The origin of the server, such as `http://localhost:3000`. */
  readonly to: string
  /** Whether the server gets its own host as Host in place of the client's. */
  readonly changeOrigin: boolean
  readonly owner: RouteOwner
}

/** The host of a route for all requests that no other route is for. */
export const everyHost = '*'

/** The host of the dashboard, which no route may have. */
export const dashboardHost = 'rootling.localhost'

/** What a certificate is for is one label below a wildcard, but each host gets its own certificate. */
const wildcard = '*.'

/**
 * Returns the host of a route in its one form; a single word is a name below localhost, as `shop` is
 * shop.localhost. Throws `bad-name`, and `usage` for an address: clients do not say in the handshake
 * which address they want.
 */
export function parseRouteHost(text: string): string {
  const { type, value } = parseIdentifier(text)
  if (type !== 'dns')
    throw new RootlingError('usage', `${printable(text)} is not a host name.`, {
      hint: 'Choose a name that leads to this machine: rootling proxy add shop.localhost 3000',
    })
  const host = value.includes('.') || value === 'localhost' ? value : `${value}.localhost`
  if (host !== dashboardHost) return host
  throw new RootlingError('usage', `${host} is the dashboard’s.`, {
    hint: 'Choose another name, such as shop',
  })
}

const longestPath = 1024

/**
 * Returns a path prefix without a slash at its end. Throws `usage` unless it is a path as requests
 * have it, in which nothing is left to resolve.
 */
export function parseRoutePath(text: string): string {
  const path = text.replace(/(?<=[^/])\/$/, '')
  const isPlain = /^\/(?:[\w.~!$&'()*+,;=:@%-]+(?:\/[\w.~!$&'()*+,;=:@%-]+)*)?$/.test(path)
  if (isPlain && path.length <= longestPath && !/\/\.\.?(?:\/|$)/.test(path)) return path
  throw new RootlingError(
    'usage',
    `--path ${printable(text) || '""'} is not the beginning of a path.`,
    {
      hint: 'Such as --path /api, which is for /api and all below it',
    },
  )
}

const schemes = ['http:', 'https:', 'h2c:']

/**
 * Returns the origin that a port of this machine or a URL names. Throws `usage` for anything but a
 * port, or an origin by http, https or h2c.
 */
export function parseUpstream(text: string): string {
  const shown = printable(text) || '""'
  if (/^\d+$/.test(text)) {
    const port = Number(text)
    // As a URL, since that of port 80 has no port.
    if (port >= 1 && port <= 65_535) return new URL(`http://localhost:${port}`).origin
    throw new RootlingError('usage', `${shown} is not a port.`, { hint: 'A port is 1 to 65535' })
  }
  const [, scheme = '', rest = ''] = /^([a-z0-9]+:)(\/\/[^\s/?#@\\]+)\/?$/i.exec(text) ?? []
  const kind = schemes.find((each) => each === scheme.toLowerCase())
  // WHATWG's rules for hosts hold for schemes that they know, and h2c is not one of them.
  const url = kind === undefined ? null : parseUrl(`${kind === 'https:' ? kind : 'http:'}${rest}`)
  if (url === null || text.length > 300)
    throw new RootlingError('usage', `${shown} is neither a port nor the origin of a server.`, {
      hint: originHint(text),
    })
  if (/^(?:0\.0\.0\.0|\[::\])$/.test(url.hostname))
    throw new RootlingError('usage', `${shown} is no address that a server has.`, {
      hint: `A server that listens on every address is reached at localhost: ${kind}//localhost${url.port === '' ? '' : `:${url.port}`}`,
    })
  return kind === 'h2c:' ? `h2c://${url.host}` : url.origin
}

/** Returns what to give in place of an origin without its scheme, or with a path; else what there is. */
function originHint(text: string): string {
  const [, scheme = '', host = '', rest = ''] =
    /^((?:https?|h2c):\/\/)?([\w.-]+(?::\d+)?|\[[\d:a-f]+\]:\d+)([/?#].*)?$/i.exec(text) ?? []
  const isHost = scheme !== '' || /[.:]|^localhost$/.test(host)
  if (host === '' || !isHost || (scheme !== '' && rest === '') || !URL.canParse(`http://${host}`))
    return 'Give a port, or an origin such as http://127.0.0.1:4000, https://… or h2c://…'
  const origin = `${scheme === '' ? 'http://' : scheme.toLowerCase()}${host}`
  return rest === '' ? `With a scheme: ${origin}` : `Without what follows the host: ${origin}`
}

function parseUrl(text: string): URL | null {
  return URL.canParse(text) ? new URL(text) : null
}

/** Returns the host and port at which a server is reached. */
export function addressOf(to: string): { readonly host: string; readonly port: number } {
  const url = new URL(to.replace(/^h2c:/, 'http:'))
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port }
}

/** Whether a server is one of this machine, reached by loopback. */
export const isOfThisMachine = (to: string): boolean =>
  /^(?:(?:.*\.)?localhost|127(?:\.\d+){3}|::1)$/.test(addressOf(to).host)

/** What tells a route from all others, as people read it, such as `shop.localhost/api`. */
export const placeOf = ({ host, path }: Pick<Route, 'host' | 'path'>): string =>
  `${host === everyHost ? 'every other host' : host}${path === '/' ? '' : path}`

/** The URL of a route; a wildcard has `any` as an example, and the route for every host localhost. */
export function urlOfRoute({ host, path }: Pick<Route, 'host' | 'path'>, port: number): string {
  const name = host === everyHost ? 'localhost' : host.replace(/^\*/, 'any')
  return `https://${name}${port === 443 ? '' : `:${port}`}${path}`
}

/** The words by which `rootling proxy add` and `remove` name a route. */
export function wordsOf({ host, path }: Pick<Route, 'host' | 'path'>): string {
  const what = host === everyHost ? '--default' : shellWord(host)
  return `${what}${path === '/' ? '' : ` --path ${shellWord(path)}`}`
}

/** What to do where nothing listens for a route; `undefined`: what helps with any. */
export function fixOf({ owner, to }: Route): string | undefined {
  switch (owner.kind) {
    case 'hand':
      return undefined
    case 'project':
      return 'Start the app, or change its port in rootling.json, and then: `rootling up`'
    case 'run':
      return `Its command was given the variable PORT=${addressOf(to).port}; a server that does not read it needs that port by an option of its own.`
  }
}

/** Whether two routes are for the same requests. */
export const isSamePlace = (
  a: Pick<Route, 'host' | 'path'>,
  b: Pick<Route, 'host' | 'path'>,
): boolean => a.host === b.host && a.path === b.path

/** Whether two routes are of the same person, project or command. */
export const isSameOwner = (a: RouteOwner, b: RouteOwner): boolean =>
  JSON.stringify(a) === JSON.stringify(b)

/** Who a route is of, as the end of “it is of …”. */
export function ownerText(owner: RouteOwner): string {
  switch (owner.kind) {
    case 'hand':
      return 'you'
    case 'project':
      return quotedPath(owner.project)
    case 'run':
      return `a command (pid ${owner.pid})`
  }
}

/** Finds routes fast, however many there are. */
export interface RouteTable {
  /**
   * Returns the route of a request; `null`: there is none. A host comes before a wildcard, the longer
   * wildcard before the shorter, and the route for every host last; of one host, the longest path
   * comes first.
   */
  find(host: string, path: string): Route | null
  /** The hosts of all routes, without the one for every host. */
  readonly hosts: readonly string[]
}

export function routeTable(routes: readonly Route[]): RouteTable {
  const byHost = new Map<string, Route[]>()
  for (const route of routes) byHost.set(route.host, [...(byHost.get(route.host) ?? []), route])
  for (const [host, own] of byHost)
    byHost.set(
      host,
      own.toSorted((a, b) => b.path.length - a.path.length),
    )
  return {
    find(host, target) {
      const path = target.replace(/[?#].*$/s, '')
      for (const key of keysOf(host)) {
        const route = byHost.get(key)?.find((each) => isBelow(path, each.path))
        if (route !== undefined) return route
      }
      return null
    },
    hosts: [...byHost.keys()].filter((host) => host !== everyHost).toSorted(),
  }
}

/** The hosts of the routes that a request may have, the best first. */
function keysOf(host: string): string[] {
  const labels = host.replace(/\.$/, '').split('.').slice(0, 128)
  const name = labels.join('.')
  const above = labels.slice(1).map((_, i) => `${wildcard}${labels.slice(i + 1).join('.')}`)
  return [name, ...above, everyHost]
}

const isBelow = (path: string, prefix: string): boolean =>
  prefix === '/' || path === prefix || path.startsWith(`${prefix}/`)
