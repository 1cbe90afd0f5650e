import type { Server, Socket } from 'node:net'
import { unmapped } from '../x509/ip.ts'

/**
 * Closes each connection to this server that does not run over loopback, before anything else sees
 * it: not an octet is read from it or written to it. For a server that must listen on every address,
 * although only this machine may reach it.
 */
export function dropRemotePeers(server: Server): void {
  server.prependListener('connection', (socket: Socket) => {
    if (![socket.remoteAddress, socket.localAddress].every(isOnLoopback)) socket.resetAndDestroy()
  })
}

const isOnLoopback = (address = ''): boolean => /^(?:127\.[\d.]+|::1)$/.test(unmapped(address))
