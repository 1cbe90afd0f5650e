import { OpensslAuthority, type Issued } from '../../helpers/openssl-authority.ts'

const clientAuth = ['extendedKeyUsage=clientAuth']
const alice = 'email:alice@example.test'

/** An authority of OpenSSL's with a client certificate of every kind. */
export interface Credentials {
  readonly authority: OpensslAuthority
  readonly root: string
  readonly server: Issued
  readonly clients: Readonly<Record<ClientKind, Issued>>
  /** `openssl x509 -serial` of the one that the tests revoke, as node:crypto writes it. */
  serialOf(kind: ClientKind): string
  /** The files' paths, for programs. */
  readonly files: Readonly<Record<ClientKind, ClientFiles>>
  readonly rootFile: string
}

export interface ClientFiles {
  readonly cert: string
  readonly key: string
  /** Opened by `pkcs12Password`. */
  readonly pkcs12: string
}

const clientKinds = [
  'good',
  'revoked',
  'withoutUsage',
  'forServers',
  'foreign',
  'selfSigned',
  'expired',
  'future',
  'alone',
] as const
export type ClientKind = (typeof clientKinds)[number]

export const pkcs12Password = 'trustno1'

export function makeCredentials(): Credentials {
  const authority = new OpensslAuthority()
  const leaf = (name: string, options: Parameters<OpensslAuthority['leaf']>[1] = {}): Issued =>
    authority.leaf(name, { subjectAltName: alice, extensions: clientAuth, ...options })
  const good = leaf('good')
  const [alone = ''] = good.cert.split(/(?<=-----END CERTIFICATE-----\n)/)
  const clients: Record<ClientKind, Issued> = {
    good,
    revoked: leaf('revoked'),
    withoutUsage: leaf('without-usage', { extensions: [] }),
    forServers: leaf('for-servers', { extensions: ['extendedKeyUsage=serverAuth'] }),
    foreign: leaf('foreign', { issuer: 'stranger' }),
    selfSigned: leaf('self-signed', { issuer: 'self-signed' }),
    expired: leaf('expired', {
      notBefore: new Date('2020-01-01'),
      notAfter: new Date('2020-02-01'),
    }),
    future: leaf('future', { notBefore: new Date('2045-01-01'), notAfter: new Date('2045-02-01') }),
    alone: { cert: alone, key: good.key },
  }
  const root = authority.get('root').cert
  const server = authority.leaf('server')
  return {
    authority,
    root,
    server,
    clients,
    rootFile: authority.write('clients-root.pem', root),
    files: Object.fromEntries(
      clientKinds.map((kind) => [kind, writeFiles(authority, kind, clients[kind])]),
    ) as Credentials['files'],
    serialOf: (kind) => {
      const file = authority.write(`serial-${kind}.pem`, clients[kind].cert)
      return authority.run('x509', '-in', file, '-noout', '-serial').trim().replace('serial=', '')
    },
  }
}

function writeFiles(authority: OpensslAuthority, kind: ClientKind, { cert, key }: Issued) {
  const files = {
    cert: authority.write(`${kind}-client.pem`, cert),
    key: authority.write(`${kind}-client-key.pem`, key),
    pkcs12: authority.write(`${kind}.p12`, ''),
  }
  authority.run(
    'pkcs12',
    '-export',
    '-in',
    files.cert,
    '-inkey',
    files.key,
    '-out',
    files.pkcs12,
    '-name',
    `${kind} client`,
    '-passout',
    `pass:${pkcs12Password}`,
  )
  return files
}
