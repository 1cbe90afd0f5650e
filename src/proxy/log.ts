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

type Report = ((entry: ProxyEntry) => void) | undefined

/** Begins to measure a request, which is reported at the latest when its answer is closed. */
export function beginLog(
  client: ProxyClient,
  host: string,
  now: () => Date,
  onRequest: Report,
): RequestLog {
  const log = new MeasuredRequest(client, host, now(), onRequest)
  client.onceClosed(() => log.write(client.status))
  return log
}

class MeasuredRequest implements RequestLog {
  app: string | null = null
  hint: string | null = null
  readonly #client: ProxyClient
  readonly #host: string
  readonly #time: Date
  readonly #onRequest: Report
  readonly #started = performance.now()
  #isWritten = false

  constructor(client: ProxyClient, host: string, time: Date, onRequest: Report) {
    this.#client = client
    this.#host = host
    this.#time = time
    this.#onRequest = onRequest
  }

  write(status: number | null): void {
    if (this.#isWritten) return
    this.#isWritten = true
    if (this.#onRequest === undefined) return
    const { path, method, octets, raw: fields, answered } = this.#client
    const entry = {
      time: this.#time,
      host: this.#host,
      path,
      method,
      status,
      milliseconds: performance.now() - this.#started,
      app: this.app,
      octets,
      fields,
      answered,
    }
    this.#onRequest(this.hint === null ? entry : { ...entry, hint: this.hint })
  }
}
