import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { printable, shortened } from '../printable.ts'
import { unmapped } from '../x509/ip.ts'
import type { Request, Response } from './http.ts'

/** One request that was answered, or whose connection broke. */
export interface LogEntry {
  readonly time: Date
  readonly remoteAddress: string
  readonly method: string
  readonly path: string
  /** `null`: the connection ended before an answer. */
  readonly status: number | null
  /** `HTTP/1.1` or `HTTP/2`. */
  readonly protocol: string
  /** Such as `TLSv1.3`; empty: the request came over plain HTTP. */
  readonly tlsVersion: string
  readonly milliseconds: number
}

/** Calls `log` once, when the response has ended or its connection broke. */
export function logRequest(
  request: Request,
  response: Response,
  now: () => Date,
  log: (entry: LogEntry, request: Request) => void,
): void {
  const time = now()
  const started = performance.now()
  // These are read now, because a closed socket no longer knows its peer.
  const socket: Socket | TLSSocket = request.socket
  const entry = {
    time,
    remoteAddress: unmapped(socket.remoteAddress ?? ''),
    method: request.method ?? '',
    path: request.url ?? '',
    protocol: request.httpVersionMajor === 2 ? 'HTTP/2' : `HTTP/${request.httpVersion}`,
    tlsVersion: 'getProtocol' in socket ? (socket.getProtocol() ?? '') : '',
  }
  let status: number | null = null
  response.once('finish', () => {
    // node:http2 emits this for a connection that broke before any answer, too.
    if (response.headersSent) status = response.statusCode
  })
  response.once('close', () => {
    const milliseconds = Math.round(performance.now() - started)
    const shown = status ?? (response.headersSent ? response.statusCode : null)
    log({ ...entry, status: shown, milliseconds }, request)
  })
}

/** Returns an entry as one line for a terminal. */
export function formatLogLine(entry: LogEntry): string {
  return [
    entry.time.toISOString(),
    ...[entry.remoteAddress, entry.method, entry.path].map((text) =>
      shortened(printable(text, ''), 300),
    ),
    entry.status ?? 'aborted',
    entry.protocol,
    entry.tlsVersion || 'without TLS',
    `${entry.milliseconds} ms`,
  ].join(' ')
}
