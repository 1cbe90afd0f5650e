import { createHash, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createSecureContext, createServer, type SecureContext } from 'node:tls'
import { callbackify } from 'node:util'
import { boolean, objectIdentifier, octetString, sequence } from '../../src/x509/asn1.ts'
import { signCertificate, signWith, distinguishedName } from '../../src/x509/certificate.ts'
import { subjectAltName } from '../../src/x509/extensions.ts'
import type { Identifier } from '../../src/x509/identifier.ts'
import { encodePem } from '../../src/x509/pem.ts'

/** What a tls-alpn-01 server shows (RFC 8737 §3), right or wrong. */
export interface AlpnShows {
  readonly names: readonly Identifier[]
  readonly keyAuthorization: string
  readonly critical?: boolean
  /** Default `acme-tls/1`. */
  readonly protocol?: string
  readonly extension?: Buffer | null
}

export interface AlpnServer {
  readonly port: number
  /** The server names that clients asked for. */
  readonly asked: string[]
  shows: AlpnShows | null
  close(): Promise<void>
}

export async function startAlpnServer(host = '127.0.0.1', port = 0): Promise<AlpnServer> {
  const asked: string[] = []
  const result = { shows: null as AlpnShows | null }
  const server = createServer({
    ALPNCallback: ({ servername, protocols }) => {
      asked.push(servername)
      const wanted = result.shows?.protocol ?? 'acme-tls/1'
      return protocols.includes(wanted) ? wanted : undefined
    },
    SNICallback: (_, done) => callbackify(contextFor)(result.shows, done),
  })
  server.on('tlsClientError', () => {})
  server.listen(port, host)
  await once(server, 'listening')
  return Object.assign(result, {
    port: (server.address() as AddressInfo).port,
    asked,
    async close() {
      server.close()
      await once(server, 'close')
    },
  })
}

async function contextFor(shows: AlpnShows | null): Promise<SecureContext> {
  if (shows === null) throw new Error('nothing to show')
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signing = signWith(privateKey)
  if (signing === null) throw new TypeError('P-256 signs')
  const digest = createHash('sha256').update(shows.keyAuthorization).digest()
  const value = octetString(shows.extension ?? octetString(digest))
  const id = objectIdentifier('1.3.6.1.5.5.7.1.31')
  const critical = shows.critical === false ? [] : [boolean(true)]
  const name = distinguishedName('test', null)
  const der = await signCertificate(
    {
      serialNumber: Buffer.of(1),
      subject: name,
      spki: publicKey.export({ format: 'der', type: 'spki' }),
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 60_000),
      extensions: [
        subjectAltName(shows.names),
        ...(shows.extension === null ? [] : [sequence(id, ...critical, value)]),
      ],
    },
    { name, keyIdentifier: Buffer.alloc(20), ...signing },
  )
  return createSecureContext({
    cert: encodePem('CERTIFICATE', der),
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  })
}
