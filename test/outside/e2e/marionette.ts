import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'

/** An error that Firefox answered; `code` is WebDriver's, such as `insecure certificate`. */
export class MarionetteError extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** A connection to Firefox's remote control. */
export interface Marionette {
  /** Sends a WebDriver command and gives its result; throws `MarionetteError`. */
  send(command: string, parameters?: Record<string, unknown>): Promise<unknown>
  close(): void
}

/**
 * Connects to a Firefox that runs with --marionette. Protocol 3: every packet is
 * `LENGTH:JSON`, the first one is the greeting, then `[0, id, command, parameters]` goes out and
 * `[1, id, error, result]` comes back.
 * https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html
 */
export async function connectMarionette(port: number, timeout = 400_000): Promise<Marionette> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const packets = readPackets(socket)
  await packets.next()
  let id = 0
  return {
    async send(command, parameters = {}) {
      id += 1
      const text = JSON.stringify([0, id, command, parameters])
      socket.write(`${Buffer.byteLength(text)}:${text}`)
      const late = setTimeout(
        () => socket.destroy(new Error(`Firefox did not answer ${command} in ${timeout} ms`)),
        timeout,
      )
      const { value, done } = await packets.next().finally(() => clearTimeout(late))
      if (done) throw new Error(`Firefox hung up on ${command}`)
      const [, answered, error, result] = value as [
        number,
        number,
        { error: string; message: string } | null,
        unknown,
      ]
      if (answered !== id) throw new Error(`Firefox answered ${answered} instead of ${id}`)
      if (error) throw new MarionetteError(error.error, error.message)
      return result
    },
    close: () => socket.destroy(),
  }
}

async function* readPackets(socket: Socket): AsyncGenerator<unknown, void> {
  let buffer = Buffer.alloc(0)
  for await (const chunk of socket) {
    buffer = Buffer.concat([buffer, chunk as Buffer])
    for (;;) {
      const colon = buffer.indexOf(':')
      if (colon === -1) break
      const end = colon + 1 + Number(buffer.toString('latin1', 0, colon))
      if (buffer.length < end) break
      yield JSON.parse(buffer.toString('utf8', colon + 1, end))
      buffer = buffer.subarray(end)
    }
  }
}
