import type { Duplex } from 'node:stream'

type Written = (error?: Error | null) => void

/** How long a failed write waits for what the other end has sent before. */
const holdMilliseconds = 1_000

/** Whether a write failed since the other end has closed the connection. */
const isClosed = (error: NodeJS.ErrnoException | null | undefined): boolean =>
  error?.code === 'EPIPE' || error?.code === 'ECONNRESET'

/**
 * Makes a socket hold back that a write has failed until what the other end sent before was read. A
 * server may answer 413 and close while a body still comes in: the next write fails, node:net would
 * close the socket at once, and the answer would be lost in it.
 */
export function holdWriteErrors(socket: Duplex): void {
  const held =
    (done: Written): Written =>
    (error) => {
      if (!isClosed(error) || socket.destroyed || socket.readableEnded) {
        done(error)
        return
      }
      const give = (): void => {
        clearTimeout(timer)
        socket.off('end', give).off('close', give)
        done(error)
      }
      const timer = setTimeout(give, holdMilliseconds)
      socket.once('end', give).once('close', give)
    }
  const write = socket._write.bind(socket)
  socket._write = (chunk, encoding, done) => write(chunk, encoding, held(done))
  const writev = socket._writev?.bind(socket)
  if (writev !== undefined) socket._writev = (chunks, done) => writev(chunks, held(done))
}
