import type { ProxyClient, RawFields } from './client.ts'
import { answerFields, without } from './fields.ts'
import { hintFor } from './failures.ts'
import type { Upstream, Upstreams } from './upstream.ts'

/** One request on its way to an upstream. */
export interface Forwarding {
  readonly client: ProxyClient
  readonly upstream: Upstream
  readonly upstreams: Upstreams
  /** The Host for the upstream. */
  readonly host: string
  /** The fields for the upstream, as HTTP/1 needs them. */
  readonly fields: string[]
  /** Called when the upstream gave no answer, or not all of it. */
  readonly onNoAnswer: (error: NodeJS.ErrnoException) => void
  /** Called with what an app's own refusal means. */
  readonly onHint: (hint: string) => void
}

/** The methods that may be sent twice (RFC 9110 §9.2.2). */
const idempotent: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'PUT',
  'DELETE',
  'TRACE',
])

/** Whether a request may be sent again on another connection when a kept one turns out to be dead. */
export const isRepeatable = ({ method, framing }: ProxyClient): boolean =>
  framing === 'none' && idempotent.has(method)

/** How long an upstream may leave a client waiting for 100 (Continue), which old servers never send. */
export const continueMilliseconds = 1_000

/** Returns the fields of an answer for the client. */
export function fieldsForClient(
  { client, upstream }: Forwarding,
  raw: RawFields,
  status: number,
): string[] {
  const fields = answerFields(raw)
  if (upstream.changeOrigin === true) nameProxy(fields, upstream, client.authority)
  // RFC 9110 §8.6 forbids it, and some servers send it.
  return status === 204 ? without(fields, 'content-length') : fields
}

/** Puts the name under which the client knows an app in place of the app's own, which only we asked for. */
function nameProxy(fields: string[], { origin }: Upstream, authority: string): void {
  const own = originText(origin)
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase()
    const value = fields[i + 1] as string
    if ((name === 'location' || name === 'content-location') && isBelow(value, own))
      fields[i + 1] = `https://${authority}${value.slice(own.length)}`
    else if (name === 'set-cookie')
      fields[i + 1] = value.replace(/;\s*domain=\.?([^;]*)/i, (all, domain: string) =>
        domain.trim().toLowerCase() === origin.hostname ? '' : all,
      )
  }
}

/** The origin of an app as the app itself writes it. */
const originText = (origin: URL): string => origin.href.replace(/^h2c:/, 'http:').replace(/\/$/, '')

/** Whether a URL is an origin, or one of its pages. */
const isBelow = (url: string, origin: string): boolean =>
  url.startsWith(origin) && /^(?:[/?#]|$)/.test(url.slice(origin.length))

/**
 * Puts an app's own origin in place of ours where a page of the app says from where it asks: an app that
 * does not know our name would refuse the page as another website's.
 */
export function nameApp(fields: string[], { origin }: Upstream, authority: string): void {
  const own = originText(origin)
  const ours = `https://${authority}`
  for (let i = 0; i < fields.length; i += 2)
    if (/^(?:origin|referer)$/i.test(fields[i] as string) && isBelow(fields[i + 1] as string, ours))
      fields[i + 1] = `${own}${(fields[i + 1] as string).slice(ours.length)}`
}

/** Returns what looks for a hint in the first part of an answer; `null`: there is none to find. */
export function hintFinder(
  { client, upstream, onHint }: Forwarding,
  status: number,
): ((part: Buffer) => void) | null {
  if (status !== 403) return null
  return (part) => {
    const hint = hintFor(upstream, client.path, status, part.toString('utf8', 0, 2_000))
    if (hint !== null) onHint(hint)
  }
}
