import type { RawFields } from './client.ts'

/** The head of an answer that came over HTTP/1, and what it says of what follows it. */
export interface AnswerHead {
  readonly status: number
  readonly message: string
  readonly fields: RawFields
  /** The value of Content-Length; `null`: there is none. */
  readonly length: number | null
  readonly isChunked: boolean
  /** Whether the connection may be used for another request after this answer. */
  readonly isKept: boolean
  /** For how long the connection may then be idle; `null`: the upstream does not say. */
  readonly keptMilliseconds: number | null
}

/** The most of an answer's head, or of its trailers, that is read. */
export const headBytes = 64 * 1024

/** The most fields of a head, as of a request's. */
const mostFields = 512

/** An answer that two readers could understand differently, or that is no HTTP/1.1 at all. */
export class InvalidAnswer extends Error {
  readonly code = 'ERR_INVALID_ANSWER'
}

const statusLine = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/
const token = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i
const value = /^[\t\x20-\x7e\x80-\xff]*$/

/**
 * Reads a head without the empty line at its end, each octet as one character. Throws InvalidAnswer for
 * anything that RFC 9112 does not allow, and for what it lets an intermediary mend: a folded line, and
 * more than one field about the length.
 */
export function parseHead(text: string): AnswerHead {
  let end = text.indexOf('\r\n')
  if (end === -1) end = text.length
  const match = statusLine.exec(text.slice(0, end))
  if (match === null) throw new InvalidAnswer('Its status line is not one of HTTP/1.1.')
  const isOld = match[1] === '0'
  const fields = parseFields(text, end + 2)
  let length: number | null = null
  let isChunked = false
  let isKept = !isOld
  let keptMilliseconds: number | null = null
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string
    // The lengths tell apart nearly all names without a copy in lower case.
    switch (name.length) {
      case 10: {
        const lower = name.toLowerCase()
        if (lower === 'connection') isKept = keeps(fields[i + 1] as string, isKept)
        else if (lower === 'keep-alive') keptMilliseconds = timeoutOf(fields[i + 1] as string)
        break
      }
      case 14:
        if (name.toLowerCase() !== 'content-length') break
        if (length !== null) throw new InvalidAnswer('It has several Content-Length fields.')
        length = lengthOf(fields[i + 1] as string)
        break
      case 17:
        if (name.toLowerCase() !== 'transfer-encoding') break
        if (isChunked || isOld || (fields[i + 1] as string).toLowerCase() !== 'chunked')
          throw new InvalidAnswer('Its Transfer-Encoding is not chunked alone.')
        isChunked = true
        break
      default:
    }
  }
  if (isChunked && length !== null)
    throw new InvalidAnswer('It has both Content-Length and Transfer-Encoding.')
  const [, , status, message = ''] = match
  return { status: Number(status), message, fields, length, isChunked, isKept, keptMilliseconds }
}

/** Reads the lines of fields that begin at `start`. Throws InvalidAnswer. */
export function parseFields(text: string, start: number): string[] {
  const fields: string[] = []
  let at = start
  while (at < text.length) {
    let end = text.indexOf('\r\n', at)
    if (end === -1) end = text.length
    const colon = text.indexOf(':', at)
    if (colon === -1 || colon > end) throw new InvalidAnswer('A line of it is no field.')
    const name = text.slice(at, colon)
    // A name that ends with a space, and a folded line, are none either.
    if (!token.test(name)) throw new InvalidAnswer('A field of it has an invalid name.')
    let first = colon + 1
    let last = end
    while (first < last && isSpace(text.charCodeAt(first))) first++
    while (last > first && isSpace(text.charCodeAt(last - 1))) last--
    const content = text.slice(first, last)
    if (!value.test(content)) throw new InvalidAnswer('A field of it has an invalid value.')
    fields.push(name, content)
    if (fields.length > 2 * mostFields) throw new InvalidAnswer('It has too many fields.')
    at = end + 2
  }
  return fields
}

const isSpace = (code: number): boolean => code === 32 || code === 9

function lengthOf(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new InvalidAnswer('Its Content-Length is no number.')
}

/** Whether a connection is kept, by a Connection field. */
function keeps(options: string, before: boolean): boolean {
  const lower = options.toLowerCase()
  if (lower === 'keep-alive') return true
  const names = new Set(lower.split(',').map((name) => name.trim()))
  return !names.has('close') && (before || names.has('keep-alive'))
}

function timeoutOf(text: string): number | null {
  const seconds = /(?:^|[\s,;])timeout\s*=\s*"?(\d{1,6})/i.exec(text)?.[1]
  return seconds === undefined ? null : Number(seconds) * 1_000
}
