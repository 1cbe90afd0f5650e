import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { connect, createSecureContext, TLSSocket, type SecureContext } from 'node:tls'
import { RootlingError, WrongPassword } from '../src/errors.ts'
import { identityOf, type HeldIdentity } from './client-store.ts'

/**
 * Returns the identity in a PKCS #12 file. Node's OpenSSL reads the file but returns no
 * certificates, so they are taken from a TLS handshake in memory. Throws `bad-key` when the
 * password is wrong, the file is not PKCS #12, or it holds no certificate with its key.
 */
export async function readPkcs12Identity(
  contents: Buffer,
  password: string,
  shown: string,
): Promise<HeldIdentity> {
  return identityOf(await chainFrom(openPkcs12(contents, password, shown)))
}

function openPkcs12(contents: Buffer, password: string, shown: string): SecureContext {
  try {
    return createSecureContext({ pfx: contents, passphrase: password })
  } catch (error) {
    const said = error instanceof Error ? error.message : ''
    if (said.includes('mac verify failure')) throw new WrongPassword(shown, error)
    const sentence = said.includes('private key')
      ? `${shown} holds no certificate with its key.`
      : `${shown} is not a PKCS #12 file that OpenSSL can read.`
    throw new RootlingError('bad-key', sentence, {
      hint: 'rootling issue --client alice@example.test --pkcs12',
      cause: error,
    })
  }
}

async function chainFrom(secureContext: SecureContext): Promise<[Buffer, ...Buffer[]]> {
  const [serverEnd, clientEnd] = createConnection()
  const server = new TLSSocket(serverEnd, { isServer: true, secureContext })
  server.on('error', () => {})
  const client = connect({ socket: clientEnd, rejectUnauthorized: false })
  try {
    await once(client, 'secureConnect', { signal: AbortSignal.timeout(10_000) })
    const own = client.getPeerX509Certificate()
    if (own === undefined) throw new RootlingError('bad-key', 'The file holds no certificate.')
    const chain: [Buffer, ...Buffer[]] = [own.raw]
    for (let issuer = own.issuerCertificate; issuer; issuer = issuer.issuerCertificate)
      chain.push(issuer.raw)
    return chain
  } finally {
    client.destroy()
    server.destroy()
  }
}

/**
 * Returns the two ends of a connection in memory: what is written to one is read from the other.
 */
function createConnection(): [Duplex, Duplex] {
  const ends: Duplex[] = []
  const end = (other: 0 | 1) =>
    new Duplex({
      read: () => {},
      write: (chunk, _encoding, done) => {
        ends[other]?.push(chunk)
        done()
      },
      final: (done) => {
        ends[other]?.push(null)
        done()
      },
    })
  const pair: [Duplex, Duplex] = [end(1), end(0)]
  ends.push(...pair)
  return pair
}
