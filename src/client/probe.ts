import type { X509Certificate } from 'node:crypto'
import { connect as connectTcp } from 'node:net'
import { connect, rootCertificates } from 'node:tls'
import { sentChain } from './peer.ts'
import { resolveLocally } from './target.ts'

/** What a server answered to one handshake. */
export interface Probe {
  /**
   * `refused`: nothing listens, or nothing answered in time; `plain-http`: it speaks HTTP without
   * TLS; `no-handshake`: it ended the handshake without a certificate.
   */
  readonly outcome: 'tls' | 'refused' | 'plain-http' | 'no-handshake'
  /** Leaf first; empty: no certificate was shown. */
  readonly chain: readonly X509Certificate[]
  /** Why OpenSSL refuses the chain, or why there was no handshake; `null`: neither. */
  readonly refusal: string | null
}

const timeLimit = 3_000

/** Returns the addresses of a host, as `resolveLocally` does; none: it has no address. */
export function resolveAll(host: string): Promise<string[]> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timeLimit, [])
    resolveLocally(host, { all: true }, (error, found) => {
      clearTimeout(timer)
      const list = Array.isArray(found) ? found.map(({ address }) => address) : [found]
      resolve(error === null ? [...new Set(list)] : [])
    })
  })
}

/**
 * Makes one handshake with an address, and sends no request. `servername` is sent as SNI; empty:
 * none is. `ca` are PEM roots that count as trusted beside the public ones. Old versions of TLS are
 * accepted, so that their certificate can be judged.
 */
export async function probe(
  address: string,
  port: number,
  servername: string,
  ca: readonly string[],
): Promise<Probe> {
  const { chain, refusal, error } = await handshake(address, port, servername, ca)
  if (chain.length > 0) return { outcome: 'tls', chain, refusal }
  return withoutChain(address, port, error)
}

interface Handshake extends Pick<Probe, 'chain' | 'refusal'> {
  readonly error: Error | null
}

function handshake(
  address: string,
  port: number,
  servername: string,
  ca: readonly string[],
): Promise<Handshake> {
  return new Promise((resolve) => {
    const socket = connect({
      host: address,
      port,
      servername,
      ca: [...ca, ...rootCertificates],
      rejectUnauthorized: false,
      minVersion: 'TLSv1',
      ciphers: 'DEFAULT:@SECLEVEL=0',
      // The name of the host is judged elsewhere.
      checkServerIdentity: () => undefined,
    })
    const finish = (error: Error | null): void => {
      const chain = sentChain(socket)
      // Node's types say that this is an error; in truth it may be the code alone.
      const refusal: unknown = socket.authorizationError
      socket.destroy()
      resolve({ chain, refusal: refusal ? codeOf(refusal) : null, error })
    }
    socket.setTimeout(timeLimit, () => finish(null))
    socket.once('error', finish)
    socket.once('close', () => finish(null))
    socket.once('secureConnect', () => finish(null))
  })
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return 'code' in error ? String(error.code) : error.message
}

const unreachable =
  /^(?:ECONNREFUSED|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|EAFNOSUPPORT)$/

async function withoutChain(address: string, port: number, error: Error | null): Promise<Probe> {
  const code = error === null ? '' : codeOf(error)
  if (unreachable.test(code)) return { outcome: 'refused', chain: [], refusal: code }
  const plain = await speaksPlainHttp(address, port)
  if (plain === null) return { outcome: 'refused', chain: [], refusal: code || 'ETIMEDOUT' }
  const outcome = plain ? 'plain-http' : 'no-handshake'
  return { outcome, chain: [], refusal: code === '' ? null : code }
}

/**
 * Whether a server speaks HTTP without TLS: its answer to a plain request begins with `HTTP/`;
 * `null`: no connection can be made.
 */
export function speaksPlainHttp(
  host: string,
  port: number,
  limit = timeLimit,
): Promise<boolean | null> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host, port, lookup: resolveLocally, autoSelectFamily: true })
    let connected = false
    const finish = (answer: boolean | null): void => {
      socket.destroy()
      resolve(answer)
    }
    const end = (): void => finish(connected ? false : null)
    socket.setTimeout(limit, end)
    socket.once('error', end)
    socket.once('close', end)
    socket.once('connect', () => {
      connected = true
      socket.write('HEAD / HTTP/1.0\r\n\r\n')
    })
    socket.once('data', (data) => finish(data.toString('latin1').startsWith('HTTP/')))
  })
}
