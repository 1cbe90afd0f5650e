import { AnswerParser } from '../../src/proxy/answer-parser.ts'

/** What was read of an answer. */
export interface Read {
  readonly status: number
  readonly message: string
  readonly fields: readonly string[]
  readonly body: string
  readonly trailers: readonly string[]
  readonly interim: readonly number[]
  /** What came after the answer. */
  readonly rest: string
}

/**
 * Reads an answer that comes in pieces of the given sizes, the last of which is used again, and then the
 * end of the connection. Returns why it was refused as text, and `cut` for one that is not whole.
 */
export function readAnswer(text: string, sizes: readonly number[], method = 'GET'): Read | string {
  let read: Omit<Read, 'body' | 'rest' | 'trailers' | 'interim'> | null = null
  let [body, rest] = ['', '']
  let trailers: readonly string[] | null = null
  const interim: number[] = []
  const parser = new AnswerParser(method, {
    onInterim: ({ status }) => interim.push(status),
    onHead: ({ status, message, fields }) => (read = { status, message, fields }),
    onPart: (part) => (body += part.toString('latin1')),
    onEnd: (fields) => (trailers = fields),
  })
  const octets = Buffer.from(text, 'latin1')
  let at = 0
  try {
    for (let i = 0; at < octets.length; i++) {
      const size = sizes[Math.min(i, sizes.length - 1)] ?? octets.length
      // As connections do, with other octets after those that have come.
      const memory = Buffer.concat([octets.subarray(at, at + size), Buffer.from('\r\n\r\n0\r\n')])
      const length = Math.min(size, octets.length - at)
      const end = parser.read(memory, 0, length)
      rest += memory.toString('latin1', end, length)
      at += length
    }
    if (!parser.close() || read === null || trailers === null) return 'cut'
    return { ...(read as object as Read), body, rest, trailers, interim }
  } catch (error) {
    return (error as Error).message
  }
}
