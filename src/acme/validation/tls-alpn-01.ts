import { createHash } from 'node:crypto'
import { isIP, isIPv4 } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { RootlingError } from '../../errors.ts'
import { hostPort } from '../../server/listen.ts'
import { expectOctets, expectSequence, isContext, readDer } from '../../x509/asn1-reader.ts'
import { readCertificateParts } from '../../x509/certificate-reader.ts'
import { ipBytes } from '../../x509/ip.ts'
import { AcmeProblem } from '../problems.ts'
import { askOwners, connectionProblem, tryEach, type Connecting } from './addresses.ts'
import type { Attempt } from './attempt.ts'

const acmeIdentifier = '1.3.6.1.5.5.7.1.31'
const subjectAltName = '2.5.29.17'
const protocol = 'acme-tls/1'

/**
 * Checks the certificate that the host shows for `acme-tls/1` (RFC 8737 §3, and RFC 8738 §6 for
 * addresses). Throws an AcmeProblem.
 */
export async function validateTlsAlpn01(attempt: Attempt): Promise<void> {
  const { identifier, addresses, options, owners, signal } = attempt
  const port = options.tlsAlpn01Port
  await tryEach(await addresses.of(identifier.value), signal, async (address, connecting) => {
    const where = `${identifier.value} (${hostPort(address, port)})`
    let der: Buffer
    try {
      const name = serverName(identifier.value)
      der = await askOwners(owners, address, port, () =>
        certificateAt(address, port, name, connecting),
      )
    } catch (error) {
      throw connectionProblem(where, error)
    }
    const fault = faultOf(der, attempt)
    if (fault !== null)
      throw new AcmeProblem('incorrectResponse', `The certificate of ${where} ${fault}.`)
  })
}

/**
 * Returns the name to send as SNI. For an address it is the name in the reverse tree (RFC 8738 §6),
 * since SNI carries no addresses.
 */
function serverName(host: string): string {
  if (isIP(host) === 0) return host
  const octets = ipBytes(host)
  if (isIPv4(host)) return `${[...octets].toReversed().join('.')}.in-addr.arpa`
  return `${octets.toString('hex').split('').toReversed().join('.')}.ip6.arpa`
}

function certificateAt(
  host: string,
  port: number,
  servername: string,
  { signal, begun, connected }: Connecting,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    begun()
    const socket: TLSSocket = connect({
      host,
      port,
      servername,
      ALPNProtocols: [protocol],
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
    })
    const abort = (): void => void socket.destroy(new Error('no answer in time'))
    signal.addEventListener('abort', abort, { once: true })
    socket.once('close', () => {
      signal.removeEventListener('abort', abort)
      reject(new Error('the connection was closed'))
    })
    socket.once('error', reject)
    socket.once('connect', connected)
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate()
      if (socket.alpnProtocol !== protocol)
        reject(new AcmeProblem('tls', `The server at ${host} does not speak ${protocol}.`))
      else if (certificate === undefined) reject(new Error('the server showed no certificate'))
      else resolve(certificate.raw)
      socket.destroy()
    })
  })
}

/** Says what is wrong with the certificate, as the end of a sentence; `null` when nothing is. */
function faultOf(der: Buffer, { identifier, keyAuthorization }: Attempt): string | null {
  const what = 'The certificate'
  try {
    const { extensions } = readCertificateParts(der)
    const names = extensions.get(subjectAltName)?.value
    const [name, ...more] = names === undefined ? [] : expectSequence(readDer(names, what), what)
    if (name === undefined || more.length > 0) return 'does not name exactly one host'
    const wanted =
      identifier.type === 'ip'
        ? isContext(name, 7) && name.contents.equals(ipBytes(identifier.value))
        : isContext(name, 2) && name.contents.toString('latin1').toLowerCase() === identifier.value
    if (!wanted) return `is not for ${identifier.value}`
    const extension = extensions.get(acmeIdentifier)
    if (extension === undefined) return 'has no acmeIdentifier extension'
    if (!extension.critical) return 'has an acmeIdentifier extension that is not critical'
    const digest = createHash('sha256').update(keyAuthorization).digest()
    const found = expectOctets(readDer(extension.value, what), what)
    return found.equals(digest) ? null : 'holds another key authorization'
  } catch (error) {
    if (error instanceof RootlingError) return 'cannot be understood'
    throw error
  }
}
