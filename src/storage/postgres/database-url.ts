/** What stands for the host that such a URL leaves out; no host has this name (RFC 2606). */
const noHost = 'socket.invalid'

/** A URL of a database. The options of `url` may name a host too. */
export interface DatabaseUrl {
  readonly url: URL
  /** The host that stands in the URL itself, without brackets; empty: none does, as for a socket. */
  readonly host: string
}

/**
 * Reads `postgres://USER@HOST/DATABASE`; `null`: it is no URL. libpq and pg also read one without a host,
 * `postgres://USER@/DATABASE?host=/run/postgresql`, which WHATWG's rules refuse.
 */
export function readDatabaseUrl(text: string): DatabaseUrl | null {
  const whole = text.replace(/^(postgres(?:ql)?:\/\/[^/?#@]*@)(?=\/)/, `$1${noHost}`)
  if (!URL.canParse(whole)) return null
  const url = new URL(whole)
  const host = url.hostname === noHost ? '' : url.hostname.replace(/^\[|\]$/g, '')
  return { url, host }
}
