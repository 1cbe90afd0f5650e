import { RootlingError } from '../errors.ts'
import type { Request, Response } from '../server/http.ts'

/** Who asks, for the audit, and how. */
export interface Administrator {
  /** Such as `administrator alice@team.internal`. */
  readonly actor: string
  /** Whether it is the server's own user, by the socket. */
  readonly isLocal: boolean
}

/**
 * The requests of an administrator: HTTP over a Unix socket, which only the user of the server can open,
 * or over TLS with a client certificate. A request is `POST /METHOD` with a JSON object, and the answer
 * `{ "result": … }` or `{ "error": … }`.
 */
export type AdminHandler = (
  method: string,
  parameters: Parameters,
  by: Administrator,
) => Promise<unknown>

export type Parameters = Readonly<Record<string, unknown>>

const mostOctets = 64 * 1024

/** Answers one request. Throws what the handler throws beside a RootlingError, after the answer. */
export async function answerAdmin(
  request: Request,
  response: Response,
  by: Administrator,
  handler: AdminHandler,
): Promise<void> {
  try {
    if (request.method !== 'POST') throw new RootlingError('usage', 'Use POST here.')
    const parameters = await readObject(request)
    const result = (await handler((request.url ?? '').slice(1), parameters, by)) ?? null
    sendAdmin(response, 200, { result })
  } catch (error) {
    const known = error instanceof RootlingError ? error : null
    refuseAdmin(
      response,
      known === null ? 500 : 400,
      known ??
        new RootlingError(
          'internal',
          'Something unexpected happened; the log of the server says what.',
        ),
    )
    if (known === null) throw error
  }
}

/** Answers with an error. */
export function refuseAdmin(response: Response, status: number, error: RootlingError): void {
  const { code, message, hint } = error
  sendAdmin(response, status, { error: { code, message, hint } })
}

function sendAdmin(response: Response, status: number, body: object): void {
  response.statusCode = status
  response.setHeader('Content-Type', 'application/json')
  response.setHeader('Cache-Control', 'no-store')
  // HTTP/2 has no such header.
  if (!('stream' in response)) response.setHeader('Connection', 'close')
  response.end(`${JSON.stringify(body)}\n`)
}

async function readObject(stream: AsyncIterable<Buffer>): Promise<Parameters> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream) {
    length += chunk.length
    // The rest is read and thrown away, so that the client reads the answer.
    if (length <= mostOctets) chunks.push(chunk)
    else if (length > 16 * mostOctets) break
  }
  if (length > mostOctets) throw new RootlingError('usage', 'This is longer than 64 KiB.')
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString())
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Parameters
  } catch {
    // The sentence is the same.
  }
  throw new RootlingError('usage', 'The body is not a JSON object.')
}

/** Reads the answer of a server. Throws its error, and `connect-failed` for what is none. */
export function readAdminAnswer(status: number, body: string): unknown {
  let value: unknown = null
  try {
    value = JSON.parse(body)
  } catch {
    // The sentence below says so.
  }
  if (typeof value !== 'object' || value === null)
    throw new RootlingError('connect-failed', `What answers there is no server: status ${status}.`)
  const { result, error } = value as {
    readonly result?: unknown
    readonly error?: Partial<RootlingError>
  }
  if (status === 200) return result
  // The port of ACME answers with its own errors.
  if (typeof error !== 'object')
    throw new RootlingError(
      'connect-failed',
      `What answers there does not administer a server: status ${status}.`,
      { hint: 'Name the port of --admin-port' },
    )
  const { code = 'internal', message = 'The server failed.', hint } = error
  throw new RootlingError(code, message, { hint })
}
