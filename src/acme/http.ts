import { notForPages } from '../server/host-check.ts'
import type { Request, Response } from '../server/http.ts'
import type { Answer } from './context.ts'
import { malformed } from './problems.ts'
import { bounds, rateLimited } from './store/bounds.ts'

/**
 * The longest body. A request with a hundred names takes about 20 KB, and a CSR for them as much.
 */
const mostOctets = 128 * 1024

/** What has arrived of a request's body. */
interface Body {
  chunks: Buffer[]
  length: number
  kept: number
}

/**
 * The bodies that are not complete, oldest first. The oldest is given up when there is no room: an
 * honest client sends its body in a moment.
 */
const incoming = new Set<Body>()
let octetsKept = 0

/** Reads the whole body. Throws malformed, with 413 for a body that is too long, or rateLimited. */
export async function readBody(request: Request): Promise<string> {
  const body: Body = { chunks: [], length: 0, kept: 0 }
  incoming.add(body)
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      body.length += chunk.length
      // A body that is too long is read on but not kept: a client reads no answer while it still
      // writes.
      if (body.length <= mostOctets) keep(body, chunk)
      else if (body.length > 16 * mostOctets) break
    }
  } catch (error) {
    throw malformed('The body broke off.', { cause: error })
  } finally {
    incoming.delete(body)
    octetsKept -= body.kept
  }
  if (body.length > mostOctets)
    throw malformed(`The body is longer than ${mostOctets} octets.`, { status: 413 })
  if (body.kept < body.length)
    throw rateLimited('bodies', 'The body took long, and there was no room to wait for it.', 1)
  return Buffer.concat(body.chunks).toString()
}

function keep(body: Body, chunk: Buffer): void {
  if (!incoming.has(body)) return
  body.chunks.push(chunk)
  body.kept += chunk.length
  octetsKept += chunk.length
  for (const oldest of incoming) {
    if (octetsKept <= bounds.bodies) return
    octetsKept -= oldest.kept
    Object.assign(oldest, { chunks: [], kept: 0 })
    incoming.delete(oldest)
  }
}

/**
 * Throws malformed unless the type is application/jose+json (RFC 8555 §6.2). Any other type would
 * let a web page post here without a preflight.
 */
export function checkContentType(request: Request): void {
  const type = request.headers['content-type'] ?? ''
  if (/^application\/jose\+json(?:\s*;.*)?$/i.test(type)) return
  throw malformed(`The Content-Type has to be application/jose+json, not ${type.slice(0, 80)}.`, {
    status: 415,
  })
}

/** Sends an answer. HEAD and 204 get no body. */
export function send(request: Request, response: Response, answer: Answer): void {
  const { status, body, contentType, headers = {} } = answer
  const data =
    body === undefined || typeof body === 'string' || Buffer.isBuffer(body)
      ? body
      : JSON.stringify(body)
  response.statusCode = status
  for (const [name, value] of Object.entries({ ...headers, ...notForPages }))
    response.setHeader(name, value)
  response.setHeader('Cache-Control', 'no-store')
  if (data !== undefined) {
    response.setHeader('Content-Type', contentType ?? 'application/json')
    response.setHeader('Content-Length', Buffer.byteLength(data))
  } else if (status !== 204) response.setHeader('Content-Length', 0)
  if (data === undefined || request.method === 'HEAD') response.end()
  else response.end(data as string)
}
