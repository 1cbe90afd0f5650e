import type { Socket } from 'node:net'

const lingerMilliseconds = 1_000

/**
 * Discards what the client still sends, and closes once the client has closed or a second has
 * passed. Closing with unread input resets the connection, and the reset may overtake what was
 * written last.
 */
export function lingerUntilRead(socket: Socket): void {
  const end = (): void => void socket.destroy()
  const timer = setTimeout(end, lingerMilliseconds)
  socket.once('end', end)
  socket.once('close', () => clearTimeout(timer))
  socket.resume()
}
