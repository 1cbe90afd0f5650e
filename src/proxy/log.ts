import type { ProxyClient, RawFields } from './client.ts'

/** One request that was answered, or whose connection broke. */
export interface ProxyEntry {
  readonly time: Date
  /** Lower case, without port; empty: the request named no host, or several. */
  readonly host: string
  readonly path: string
  readonly method: string
  /** `null`: the connection ended before an answer. 101: a WebSocket was opened, over HTTP/2 too. */
  readonly status: number | null
  readonly milliseconds: number
  /** The app that answered, or should have; `null`: no route fits the request. */
  readonly app: string | null
  /** How many octets of the answer's body were sent. */
  readonly octets: number
  /** The fields of the request and of its answer, names and values in turn. They hold secrets. */
  readonly fields: RawFields
  readonly answered: RawFields
  /** Why the app may have refused the request, and what to do; absent: nothing is known. */
  readonly hint?: string
}

/** What becomes known of a request while it is answered. */
export interface RequestLog {
  app: string | null
  hint: string | null
  /** Reports the request; later calls do nothing. */
  write(status: number | null): void
}

/** Begins to measure a request, which is reported at the latest when its answer is closed. */
export function beginLog(
  client: ProxyClient,
  host: string,
  now: () => Date,
  onRequest: ((entry: ProxyEntry) => void) | undefined,
): RequestLog {
  const time = now()
  const started = performance.now()
  const { path, method } = client
  let isWritten = false
  const log: RequestLog = {
    app: null,
    hint: null,
    write(status) {
      if (isWritten) return
      isWritten = true
      const milliseconds = performance.now() - started
      const { app, hint } = log
      const { octets, raw: fields, answered } = client
      const what = { time, host, path, method, status, milliseconds, app }
      const entry = { ...what, octets, fields, answered }
      onRequest?.(hint === null ? entry : { ...entry, hint })
    },
  }
  client.onceClosed(() => log.write(client.status))
  return log
}
