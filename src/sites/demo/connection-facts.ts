import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Request } from '../../server/http.ts'
import { groupOfSession } from '../../server/tls-session.ts'
import { keyExchangeGroups } from '../../server/tls-settings.ts'
import { altNameParts, fingerprintOf, validityOf } from '../../x509/parsed-certificate.ts'
import { oneLine } from '../../x509/text.ts'

/** How the connection of a request was secured, for the demo page and its JSON. */
export interface ConnectionFacts {
  /** Such as `TLSv1.3`. */
  readonly protocol: string
  /** The name in RFC 8446 or RFC 5289, such as `TLS_AES_128_GCM_SHA256`. */
  readonly cipher: string
  /** `h2`, or `http/1.1`; `null` when the client did not negotiate one. */
  readonly alpn: string | null
  /** `HTTP/2` or `HTTP/1.1`. */
  readonly http: string
  /** The group of the key exchange, such as `X25519`; `null` when the TLS library does not say. */
  readonly group: string | null
  readonly groupsOffered: readonly string[]
  readonly serverName: string | null
  readonly resumed: boolean
  readonly certificate: CertificateFacts | null
  /** The client's certificate, if the client was asked for one and sent a valid one. */
  readonly client: CertificateFacts | null
}

export interface CertificateFacts {
  readonly subject: string
  readonly subjectAltName: string[]
  readonly issuer: string
  readonly serialNumber: string
  readonly notBefore: string
  readonly notAfter: string
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
}

/** Reads the facts from the socket; the certificate is the one that this connection was shown. */
export function connectionFacts(request: Request): ConnectionFacts {
  const socket = request.socket as TLSSocket
  const cipher = socket.getCipher()
  return {
    protocol: socket.getProtocol() ?? '',
    cipher: cipher.standardName ?? cipher.name,
    alpn: socket.alpnProtocol === false ? null : socket.alpnProtocol,
    http: request.httpVersionMajor === 2 ? 'HTTP/2' : `HTTP/${request.httpVersion}`,
    group: groupOfSession(socket.getSession()),
    groupsOffered: keyExchangeGroups(),
    serverName: (socket as { servername?: string | false }).servername || null,
    resumed: socket.isSessionReused(),
    certificate: certificateFacts(socket.getX509Certificate()),
    client: socket.authorized ? certificateFacts(socket.getPeerX509Certificate()) : null,
  }
}

function certificateFacts(certificate: X509Certificate | undefined): CertificateFacts | null {
  if (certificate === undefined) return null
  const { notBefore, notAfter } = validityOf(certificate)
  return {
    subject: oneLine(certificate.subject ?? ''),
    subjectAltName: altNameParts(certificate).map(bareName),
    issuer: oneLine(certificate.issuer ?? ''),
    serialNumber: certificate.serialNumber.toLowerCase(),
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    fingerprint: fingerprintOf(certificate),
  }
}

/** `DNS:a.test` → `a.test`. */
const bareName = (part: string): string => part.replace(/^(?:DNS|IP Address|email|URI):/, '')
