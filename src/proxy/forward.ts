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
  /** Called when the upstream gave no answer, none of which was sent. */
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
export function fieldsForClient(raw: RawFields, status: number): string[] {
  const fields = answerFields(raw)
  // RFC 9110 §8.6 forbids it, and some servers send it.
  return status === 204 ? without(fields, 'content-length') : fields
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
