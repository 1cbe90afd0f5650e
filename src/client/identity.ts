import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import { inspectCertificate } from '../x509/inspect.ts'
import { ipBytes, isIP } from '../x509/ip.ts'

/**
 * Checks as node:tls does that a certificate is for a host; returns the error. The octets of an
 * address are compared too: the Node of Debian 13 writes `::1` of a certificate as `0:0:0:0:0:0:0:1`,
 * and then does not find it.
 */
export function checkIdentity(host: string, certificate: PeerCertificate): Error | undefined {
  const error = checkServerIdentity(host, certificate)
  if (error === undefined || isIP(host) === 0) return error
  const { names } = inspectCertificate(certificate.raw)
  const wanted = ipBytes(host)
  const isNamed = names?.some(
    ({ type, value }) => type === 'ip' && isIP(value) !== 0 && ipBytes(value).equals(wanted),
  )
  return isNamed === true ? undefined : error
}
