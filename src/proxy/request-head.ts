import type { RawFields } from './client.ts'

const token = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i
const value = /^[\t\x20-\x7e\x80-\xff]*$/
const target = /^[\x21-\x7e\x80-\xff]+$/

/**
 * Returns the head of a request for HTTP/1.1, each character of which is one octet. Throws an error with
 * the code ERR_INVALID_CHAR for what would end a line or a name too early; HTTP/2 lets it in.
 */
export function requestHead(method: string, path: string, fields: RawFields): string {
  if (!token.test(method) || !target.test(path)) throw invalid()
  const parts = [method, ' ', path, ' HTTP/1.1\r\n']
  addLines(parts, fields)
  parts.push('\r\n')
  // Text that is joined once is less for the garbage collector than text that grows.
  return parts.join('')
}

/** Returns trailers as they follow the last chunk. Throws as `requestHead` does. */
export function trailerLines(fields: RawFields): string {
  const parts: string[] = []
  addLines(parts, fields)
  return parts.join('')
}

function addLines(parts: string[], fields: RawFields): void {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string
    const content = fields[i + 1] as string
    if (!token.test(name) || !value.test(content)) throw invalid()
    parts.push(name, ': ', content, '\r\n')
  }
}

const invalid = (): Error =>
  Object.assign(new Error('A field of the request is invalid.'), { code: 'ERR_INVALID_CHAR' })
