import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { connect } from 'node:tls'
import { RootlingError } from '../errors.ts'
import { sentChain } from './peer.ts'
import { resolveLocally } from './target.ts'

const timeoutMilliseconds = 10_000

/**
 * Fetches the certificates that a server shows, leaf first. They are for inspection, not to be
 * trusted: old versions of TLS and weak keys are accepted. No request is sent. Throws
 * `connect-failed`.
 */
export function presentedBy(host: string, port: number): Promise<X509Certificate[]> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      servername: isIP(host) > 0 ? '' : host,
      lookup: resolveLocally,
      rejectUnauthorized: false,
      minVersion: 'TLSv1',
      ciphers: 'DEFAULT:@SECLEVEL=0',
    })
    const finish = (error: Error | null): void => {
      clearTimeout(deadline)
      const chain = sentChain(socket)
      socket.destroy()
      // A server that wants a client certificate may hang up after it has shown its own
      // certificate.
      if (chain.length > 0) resolve(chain)
      else reject(failure(host, port, error))
    }
    // The time limit of the socket would begin again with each octet.
    const deadline = setTimeout(finish, timeoutMilliseconds, null)
    socket.once('error', finish)
    socket.once('close', () => finish(null))
    socket.once('secureConnect', () => finish(null))
  })
}

function failure(host: string, port: number, cause: Error | null): RootlingError {
  const where = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  const code = cause !== null && 'code' in cause ? String(cause.code) : ''
  const [sentence, hint] =
    code === 'ECONNREFUSED'
      ? [`Nothing listens on ${where}.`, 'Start the server, or check the port']
      : code === 'ENOTFOUND' || code === 'EAI_AGAIN'
        ? [`The name ${host} has no address.`, 'Check the name']
        : cause === null
          ? [`${where} showed no certificate within ${timeoutMilliseconds / 1000} s.`, undefined]
          : [`${where} showed no certificate: it does not seem to speak TLS.`, 'Check the port']
  return new RootlingError('connect-failed', sentence ?? '', { hint, cause })
}
