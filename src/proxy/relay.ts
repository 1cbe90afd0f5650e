import type { Readable } from 'node:stream'
import type { ProxyClient, RawFields } from './client.ts'

/** An answer whose body comes from a stream of an upstream. */
export interface Answer {
  readonly source: Readable
  /** The trailers, once the body has ended; `null`: the upstream broke it off. */
  readonly trailers: () => RawFields | null
  /** Called with the first part of the body. */
  readonly onStart: ((part: Buffer) => void) | null
  /** Called once, when the whole body came. */
  readonly onWhole: () => void
}

/** Sends the body of an answer to the client, no faster than the client reads it. */
export function relay(client: ProxyClient, answer: Answer): void {
  const { source, trailers, onStart, onWhole } = answer
  const { sink } = client
  let done = false
  if (onStart !== null) source.once('data', onStart)
  source.on('data', (part: Buffer) => {
    client.octets += part.length
    if (!sink.write(part)) source.pause()
  })
  const resume = (): void => void source.resume()
  sink.on('drain', resume)
  source.once('end', () => {
    sink.off('drain', resume)
    const fields = trailers()
    if (fields === null) return
    if (!done) client.end(null, fields)
    done = true
    onWhole()
  })
  const broken = (): void => {
    if (done) return
    done = true
    client.fail()
  }
  source.once('error', broken)
  source.once('close', broken)
}
