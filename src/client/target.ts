import { lookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { RootlingError } from '../errors.ts'
import { printable } from '../printable.ts'

/** The server that a URL names, and how to reach it. */
export interface Target {
  readonly url: URL
  /** The name or address of the server, without the brackets of IPv6. */
  readonly host: string
  readonly port: number
  /** The name to send as SNI; empty for literal addresses (RFC 6066 §3). */
  readonly servername: string
}

/** Reads an https URL, whose `https://` may be left out. Throws `usage` for anything else. */
export function parseTarget(typed: string): Target {
  const beginsWithHost = /^(?:\[[\da-f:.]+\]|[^\s:/?#@[\]]+)(?::\d+)?(?:[/?#]|$)/i.test(typed)
  const text = beginsWithHost ? `https://${typed}` : typed
  if (!URL.canParse(text))
    throw new RootlingError('usage', `“${shown(typed)}” is not a URL.`, {
      hint: 'rootling get https://localhost:8443/',
    })
  const url = new URL(text)
  if (url.protocol !== 'https:') {
    const hint = url.protocol === 'http:' ? `rootling get https${text.slice(4)}` : undefined
    throw new RootlingError('usage', `Only https URLs can be fetched, not ${url.protocol}`, {
      hint,
    })
  }
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? 443 : Number(url.port)
  return { url, host, port, servername: isIP(host) > 0 ? '' : host.replace(/\.$/, '') }
}

/** What the user typed, in one line of at most 200 characters. */
const shown = (text: string): string => printable(text.slice(0, 200))

/**
 * Looks up a host name. `localhost` and all names below it are loopback, without DNS (RFC 6761
 * §6.3).
 */
export const resolveLocally: LookupFunction = (hostname, options, callback) => {
  const name = hostname.toLowerCase().replace(/\.$/, '')
  if (name !== 'localhost' && !name.endsWith('.localhost')) {
    lookup(hostname, options, callback)
  } else if (options.all === true) {
    callback(null, [
      { address: '127.0.0.1', family: 4 },
      { address: '::1', family: 6 },
    ])
  } else if (options.family === 6) {
    callback(null, '::1', 6)
  } else {
    callback(null, '127.0.0.1', 4)
  }
}
