import type { Socket } from 'node:net'

/** Where a connection goes by its first octet, of which nothing is lost. */
export interface Ways {
  readonly tls: (socket: Socket) => void
  /** For a request that begins with a letter, as `GET` does; no record of TLS begins with one. */
  readonly plainHttp: (socket: Socket) => void
  /** Called when the first octet took longer than this; the connection is closed then. */
  readonly milliseconds: number
  readonly onSilent: (remoteAddress: string) => void
}

/** Waits for the first octet of a connection, and hands the connection to one of the ways. */
export function sortByFirstOctet(socket: Socket, ways: Ways): void {
  const address = socket.remoteAddress ?? ''
  const timer = setTimeout(() => {
    socket.destroy()
    ways.onSilent(address)
  }, ways.milliseconds)
  const look = (): void => {
    const first = socket.read(1) as Buffer | null
    // At the end of the stream there is nothing to read.
    if (first === null) return
    socket.off('readable', look).off('error', ignore).off('end', end)
    clearTimeout(timer)
    socket.unshift(first)
    const isLetter = /[A-Z]/i.test(first.toString('latin1'))
    if (isLetter) ways.plainHttp(socket)
    else ways.tls(socket)
  }
  const end = (): void => void socket.destroy()
  socket.on('readable', look).on('error', ignore).on('end', end)
  socket.once('close', () => clearTimeout(timer))
}

const ignore = (): void => {}
