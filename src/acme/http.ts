import { notForPages } from '../server/host-check.ts'
import type { Request, Response } from '../server/https.ts'
import type { Answer } from './context.ts'
import { malformed } from './problems.ts'

/** A request with a hundred names takes about 20 KB, and a CSR for them as much. */
const mostOctets = 128 * 1024

/** The whole body. Throws malformed with 413 for one that is too long. */
export async function readBody(request: Request): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length
      // What is too long is read on, though not kept: a client that still writes hears no answer.
      if (length <= mostOctets) chunks.push(chunk)
      else if (length > 16 * mostOctets) break
    }
  } catch (error) {
    throw malformed('The body broke off.', { cause: error })
  }
  if (length > mostOctets)
    throw malformed(`The body is longer than ${mostOctets} octets.`, { status: 413 })
  return Buffer.concat(chunks).toString()
}

/** RFC 8555 §6.2: other types would let a web page post here without a preflight. */
export function checkContentType(request: Request): void {
  const type = request.headers['content-type'] ?? ''
  if (/^application\/jose\+json(?:\s*;.*)?$/i.test(type)) return
  throw malformed(`The Content-Type has to be application/jose+json, not ${type.slice(0, 80)}.`, {
    status: 415,
  })
}

/** Sends an answer, without what HEAD and 204 leave out. */
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
