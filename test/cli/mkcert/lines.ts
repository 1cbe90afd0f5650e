import type { CertificateFacts, Observed } from './both.ts'

/** A line that both programs are given, and what ours does otherwise, with the reason. */
export interface Line {
  readonly args: readonly string[]
  readonly differs?: {
    readonly why: string
    /** What takes the place of what mkcert did; the rest must be the same. */
    readonly ours: Partial<Observed>
  }
}

const leaf = (
  names: string,
  { key = 'rsa 2048', usages = ['serverAuth'] }: Partial<CertificateFacts> = {},
): CertificateFacts => ({ key, names, usages, ca: false })

const clientOnly = (name: string, file: string, key = 'rsa 2048') => ({
  why: 'a client’s certificate is no server’s too: who steals it cannot pose as one',
  ours: { certificates: { [file]: leaf(name, { key, usages: ['clientAuth'] }) } },
})

const refused = (why: string) => ({
  why,
  ours: { exitCode: 1, files: {}, certificates: {}, said: [] },
})

const created = (names: readonly string[], where: string): readonly string[] => [
  'Created a new certificate valid for the following names 📜',
  ...names.map((name) => ` - "${name}"`),
  where,
  'It will expire on DATE 🗓',
]

const pair = (base: string) =>
  `The certificate is at "./${base}.pem" and the key at "./${base}-key.pem" ✅`

/** The files that stand in the directory are made in lines.test.ts. */
export const lines: readonly Line[] = [
  { args: ['localhost'] },
  { args: ['localhost', '127.0.0.1', '::1'] },
  { args: ['::1'] },
  { args: ['192.168.7.9', 'nas.lan'] },
  { args: ['*.shop.test'] },
  { args: ['ada@shop.test'] },
  { args: ['exämple.test'] },
  { args: ['-ecdsa', 'shop.test'] },
  { args: ['--ecdsa', 'shop.test'] },
  { args: ['-ecdsa=true', 'shop.test'] },
  { args: ['-ecdsa=F', 'shop.test'] },
  { args: ['--', 'shop.test'] },
  { args: ['-cert-file', 'tls.crt', '-key-file=tls.key', 'shop.test'] },
  { args: ['--cert-file=tls.crt', 'shop.test', 'www.shop.test'] },
  { args: ['-cert-file', 'both.pem', '-key-file', 'both.pem', 'shop.test'] },
  { args: ['-p12-file', 'unused.p12', 'shop.test'] },
  { args: ['-csr', 'good.csr'] },
  { args: ['-csr', 'good.csr', '-cert-file', 'of-csr.pem'] },
  { args: ['-csr', 'bare.csr'] },
  { args: ['-install', 'shop.test'] },
  { args: ['-install'] },
  { args: ['-uninstall'] },

  { args: [] },
  { args: ['-install=false'] },
  { args: ['-help'] },
  { args: ['-h'] },
  { args: ['-version'] },
  { args: ['-CAROOT', 'ignored.test'] },

  { args: ['-nonsense', 'shop.test'] },
  { args: ['-cert-file'] },
  { args: ['-client=maybe', 'shop.test'] },
  { args: ['---client', 'shop.test'] },
  { args: ['-=x'] },
  { args: ['-install', '-uninstall'] },
  { args: ['-install', '-CAROOT'] },
  { args: ['-csr', 'good.csr', 'shop.test'] },
  { args: ['-csr', 'good.csr', '-client'] },
  { args: ['-csr', 'good.csr', '-ecdsa'] },
  { args: ['-csr', 'good.csr', '-pkcs12'] },
  { args: ['-csr', 'absent.csr'] },
  { args: ['bad name'] },
  { args: [''] },
  { args: ['*'] },
  { args: ['-cert-file', 'absent/tls.crt', 'shop.test'] },

  {
    args: ['*.shop.test', 'ada@shop.test', 'spiffe://shop.test/x'],
    differs: {
      why: 'no issuer here signs for servers and for mail; an address alone is for mail',
      ours: {
        certificates: {
          '_wildcard.shop.test+2.pem': leaf(
            'DNS:*.shop.test, URI:spiffe://shop.test/x, email:ada@shop.test',
            { usages: ['serverAuth'] },
          ),
        },
      },
    },
  },
  { args: ['-client', 'shop.test'], differs: clientOnly('DNS:shop.test', 'shop.test-client.pem') },
  {
    args: ['-client', '-ecdsa', 'ada@shop.test'],
    differs: clientOnly('email:ada@shop.test', 'ada@shop.test-client.pem', 'ec prime256v1'),
  },
  {
    args: ['-pkcs12', 'shop.test'],
    differs: {
      why: 'mkcert’s file holds the key, under a password that all know, and all can read it',
      ours: { files: { 'shop.test.p12': '600' } },
    },
  },
  {
    args: ['-pkcs12', '-p12-file', 'my.p12', '-client', 'shop.test'],
    differs: {
      why: 'mkcert’s file holds the key, under a password that all know, and all can read it',
      ours: { files: { 'my.p12': '600' } },
    },
  },
  {
    args: ['shop.test', '-ecdsa'],
    differs: {
      why: 'mkcert takes a flag behind the names for a host: RSA, and a SAN that no client matches',
      ours: {
        files: { 'shop.test-key.pem': '600', 'shop.test.pem': '644' },
        certificates: { 'shop.test.pem': leaf('DNS:shop.test', { key: 'ec prime256v1' }) },
        said: created(['shop.test'], pair('shop.test')),
      },
    },
  },
  {
    args: ['shop.test', 'shop.test'],
    differs: {
      why: 'a name that was typed twice stands in the certificate once; the files keep their names',
      ours: {
        certificates: { 'shop.test+1.pem': leaf('DNS:shop.test') },
        said: created(['shop.test'], pair('shop.test+1')),
      },
    },
  },
  {
    args: ['Shop.TEST'],
    differs: {
      why: 'names are written in lower case, as clients compare them; the files keep their names',
      ours: {
        certificates: { 'Shop.TEST.pem': leaf('DNS:shop.test') },
        said: created(['shop.test'], pair('Shop.TEST')),
      },
    },
  },
  {
    args: ['shop.test', 'https://shop.test/x'],
    differs: refused('a web page’s URL in a certificate matches nothing: the host was meant'),
  },
  {
    args: ['spiffe://shop.test/x'],
    differs: {
      why: 'mkcert makes a path of the URI, into a directory that is not there, and fails',
      ours: {
        exitCode: 0,
        files: { 'spiffe___shop.test_x-key.pem': '600', 'spiffe___shop.test_x.pem': '644' },
        certificates: { 'spiffe___shop.test_x.pem': leaf('URI:spiffe://shop.test/x') },
        said: created(['spiffe://shop.test/x'], pair('spiffe___shop.test_x')),
      },
    },
  },
  {
    args: ['example.com'],
    differs: refused('no scope permits it: the CA that is made first signs local names only'),
  },
  { args: ['foo..test'], differs: refused('no host has an empty label, and no client matches it') },
  {
    args: ['-csr', 'ca.csr'],
    differs: refused('mkcert signs a request to be a CA as it asks, and says CA:TRUE'),
  },
  {
    args: ['-csr', 'good.csr', '-key-file', 'unused.pem'],
    differs: refused('mkcert ignores -key-file, and a script waits for a key that never comes'),
  },
  {
    args: ['-uninstall', 'shop.test'],
    differs: refused('mkcert ignores the name, which was perhaps meant for -install'),
  },
]
