import type { X509Certificate } from 'node:crypto'
import { connect, type TLSSocket } from 'node:tls'
import { commonNameOnly } from '../x509/common-name.ts'
import { altNameParts, fingerprintOf } from '../x509/parsed-certificate.ts'
import { oneLine } from '../x509/text.ts'
import { resolveLocally, type Target } from './target.ts'

/** What client and server agreed on, and the server's certificate. */
export interface TlsFacts {
  /** Such as `TLSv1.3`. */
  readonly protocol: string
  readonly cipher: string
  /**
   * The group of the key exchange, such as `X25519` or `P-256`; `null` for a resumed session
   * without a key exchange, and for a group with ML-KEM where Node does not name it (Node 22).
   */
  readonly group: string | null
  readonly subjectAltName: string[]
  /** The common name by which alone the certificate names its host; `null`: there is none. */
  readonly commonNameOnly: string | null
  readonly issuer: string
  readonly notBefore: Date
  readonly notAfter: Date
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
  readonly authorized: boolean
}

const groupNames: Record<string, string> = { prime256v1: 'P-256', secp384r1: 'P-384' }

/** Reads the facts from a secured socket. */
export function describePeer(socket: TLSSocket): TlsFacts {
  const certificate = socket.getPeerX509Certificate()
  const cipher = socket.getCipher()
  const key = socket.getEphemeralKeyInfo() as { name?: string } | null
  return {
    protocol: socket.getProtocol() ?? '',
    cipher: cipher.standardName ?? cipher.name,
    group: key?.name === undefined ? null : (groupNames[key.name] ?? key.name),
    subjectAltName: altNames(certificate),
    commonNameOnly: commonNameOf(certificate),
    issuer: oneLine(certificate?.issuer ?? ''),
    notBefore: new Date(certificate?.validFrom ?? Number.NaN),
    notAfter: new Date(certificate?.validTo ?? Number.NaN),
    fingerprint: certificate === undefined ? '' : fingerprintOf(certificate),
    authorized: socket.authorized,
  }
}

/** The common name by which alone a certificate names its host; `null`: there is none. */
export function commonNameOf(certificate: X509Certificate | undefined): string | null {
  if (certificate === undefined) return null
  const commonNames = [...(certificate.subject ?? '').matchAll(/^CN=(.*)$/gm)]
  const commonName = commonNameOnly({
    names: altNameParts(certificate).map((part) => ({ type: typeOf(part) })),
    commonNames: commonNames.map(([, value = '']) => value),
  })
  return commonName === null ? null : oneLine(commonName)
}

function typeOf(part: string): 'dns' | 'ip' | 'other' {
  if (part.startsWith('DNS:')) return 'dns'
  return part.startsWith('IP Address:') ? 'ip' : 'other'
}

/** The names and addresses of a certificate, without their type. */
export function altNames(certificate: X509Certificate | undefined): string[] {
  const parts = certificate === undefined ? [] : altNameParts(certificate)
  return parts.map((part) => part.replace(/^(?:DNS|IP Address):/, ''))
}

/**
 * Fetches the certificates of a server without trusting them, to explain a refusal; no request is
 * sent. The chain has the leaf first; `null` when the handshake fails or takes too long.
 */
export function lookAtPeer(
  { host, port, servername }: Target,
  timeoutMilliseconds: number,
): Promise<X509Certificate[] | null> {
  return new Promise((resolve) => {
    const socket = connect({
      host,
      port,
      servername,
      lookup: resolveLocally,
      rejectUnauthorized: false,
    })
    const finish = (chain: X509Certificate[] | null): void => {
      socket.destroy()
      resolve(chain)
    }
    socket.setTimeout(timeoutMilliseconds, () => finish(null))
    socket.once('error', () => finish(null))
    socket.once('secureConnect', () => finish(sentChain(socket)))
  })
}

/**
 * Returns the certificates that a server sent, leaf first. A self-signed certificate is its own
 * issuer and ends the chain.
 */
export function sentChain(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = []
  let next = socket.getPeerX509Certificate()
  while (next !== undefined && next.fingerprint256 !== chain.at(-1)?.fingerprint256) {
    chain.push(next)
    next = next.issuerCertificate
  }
  return chain
}
