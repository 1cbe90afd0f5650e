import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Valid files and answers by the tools that make them: what parsers meet, before it is broken. */
export type Samples = Readonly<Record<SampleName, readonly Buffer[]>>
type SampleName =
  | 'certificate'
  | 'certificatePem'
  | 'request'
  | 'key'
  | 'encryptedKey'
  | 'publicKey'
  | 'ocspRequest'
  | 'ocspResponse'
  | 'crl'
  | 'pkcs12'
  | 'jks'
  | 'certutil'
  | 'keytool'
  | 'pk12util'

export const password = 'changeit'

const leafExtensions = [
  'subjectAltName=DNS:localhost,DNS:*.a.test,IP:127.0.0.1,IP:::1,email:a@b.test,URI:spiffe://a/b',
  'extendedKeyUsage=serverAuth,clientAuth',
  'authorityInfoAccess=OCSP;URI:http://127.0.0.1/ocsp',
  'crlDistributionPoints=URI:http://127.0.0.1/crl',
]
const rootExtensions = [
  'basicConstraints=critical,CA:TRUE,pathlen:1',
  'keyUsage=critical,keyCertSign,cRLSign',
  'nameConstraints=critical,permitted;DNS:test,permitted;IP:127.0.0.0/255.0.0.0,excluded;email:x.test',
]

/** Of a tool that is not on this machine: what is written here, or nothing. */
export function makeSamples(): Samples {
  const directory = mkdtempSync(join(tmpdir(), 'rootling-fuzz-'))
  const env = { PATH: process.env['PATH'] ?? '', HOME: directory, LC_ALL: 'C' }
  const run = (program: string, ...args: string[]): Buffer =>
    execFileSync(program, args, { cwd: directory, env, stdio: ['ignore', 'pipe', 'ignore'] })
  const read = (name: string): Buffer => readFileSync(join(directory, name))
  const has = (program: string): boolean => existsSync(`/usr/bin/${program}`)
  try {
    const types = [
      ['ec', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']],
      ['rsa', ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048']],
      ['ed', ['-algorithm', 'ED25519']],
    ] as const
    for (const [name, args] of types) {
      run('openssl', 'genpkey', ...args, '-out', `${name}.pem`)
      run(
        'openssl',
        'pkcs8',
        '-topk8',
        '-iter',
        '1',
        '-in',
        `${name}.pem`,
        '-passout',
        `pass:${password}`,
        '-out',
        `${name}-enc.pem`,
      )
      const subject = ['-key', `${name}.pem`, '-subj', '/O=Example/CN=localhost']
      const add = (extensions: readonly string[]) => extensions.flatMap((each) => ['-addext', each])
      run(
        'openssl',
        'req',
        '-new',
        ...subject,
        '-addext',
        leafExtensions[0] ?? '',
        '-out',
        `${name}.csr`,
      )
      const selfSign = (extensions: readonly string[], out: string): void => {
        const words = ['-days', '30', ...subject, ...add(extensions), '-out', out]
        run('openssl', 'req', '-x509', ...words)
      }
      selfSign(leafExtensions, `${name}.crt`)
      selfSign(rootExtensions, `${name}-root.crt`)
      run(
        'openssl',
        'pkcs12',
        '-export',
        '-iter',
        '1',
        '-in',
        `${name}.crt`,
        '-inkey',
        `${name}.pem`,
        '-passout',
        `pass:${password}`,
        '-out',
        `${name}.p12`,
      )
    }
    run('openssl', 'ec', '-in', 'ec.pem', '-out', 'sec1.pem')
    run('openssl', 'ocsp', '-issuer', 'ec-root.crt', '-cert', 'rsa.crt', '-reqout', 'ocsp.der')
    const index = 'R\t400101000000Z\t260101000000Z,keyCompromise\t0A\tunknown\t/CN=a\n'
    writeFileSync(join(directory, 'index'), index)
    const settings = '[ca]\ndefault_ca=own\n[own]\ndatabase=index\ndefault_md=sha256\n'
    writeFileSync(
      join(directory, 'ca.cnf'),
      `${settings}default_crl_days=30\ncrl_extensions=more\n[more]\nauthorityKeyIdentifier=keyid\n`,
    )
    const signer = ['-keyfile', 'ec.pem', '-cert', 'ec-root.crt']
    run('openssl', 'ca', '-config', 'ca.cnf', '-gencrl', ...signer, '-out', 'crl.pem')
    const responder = ['-index', 'index', '-CA', 'ec-root.crt', '-rsigner', 'ec-root.crt']
    const answer = ['-rkey', 'ec.pem', '-reqin', 'ocsp.der', '-respout', 'response.der']
    run('openssl', 'ocsp', ...responder, ...answer)
    const names = types.map(([name]) => name)
    const der = (file: string, command: string): Buffer =>
      run('openssl', command, '-in', file, '-outform', 'DER')
    const certificates = names.flatMap((name) => [`${name}.crt`, `${name}-root.crt`])
    const made: Record<SampleName, Buffer[]> = {
      certificate: certificates.map((file) => der(file, 'x509')),
      certificatePem: [...certificates.map(read), Buffer.concat(certificates.map(read))],
      request: names.flatMap((name) => [read(`${name}.csr`), der(`${name}.csr`, 'req')]),
      key: [...names.map((name) => read(`${name}.pem`)), read('sec1.pem')],
      encryptedKey: names.map((name) => read(`${name}-enc.pem`)),
      publicKey: names.map((name) =>
        run('openssl', 'pkey', '-in', `${name}.pem`, '-pubout', '-outform', 'DER'),
      ),
      ocspRequest: [read('ocsp.der')],
      ocspResponse: [read('response.der')],
      crl: [der('crl.pem', 'crl')],
      pkcs12: names.map((name) => read(`${name}.p12`)),
      jks: [],
      certutil: [
        Buffer.from(
          '\nCertificate Nickname   Trust Attributes\n   SSL,S/MIME,JAR/XPI\n\nrootling 1a2b   C,,\n',
        ),
      ],
      keytool: [],
      pk12util: [
        Buffer.from('Certificate(has private key):\n    Fingerprint (SHA-256):\n        AA\n'),
      ],
    }
    if (has('keytool')) {
      const store = ['-keystore', 'trust.jks', '-storepass', password]
      for (const file of ['ec-root.crt', 'rsa-root.crt'])
        run(
          'keytool',
          '-importcert',
          '-noprompt',
          '-storetype',
          'JKS',
          '-alias',
          `rootling ${file}`,
          '-file',
          file,
          ...store,
        )
      made.jks.push(read('trust.jks'))
      made.keytool.push(run('keytool', '-list', '-rfc', ...store))
    }
    if (has('certutil')) {
      run('certutil', '-N', '-d', 'sql:.', '--empty-password')
      run('certutil', '-A', '-d', 'sql:.', '-t', 'C,,', '-n', 'rootling 1a2b', '-i', 'ec-root.crt')
      made.certutil.push(run('certutil', '-L', '-d', 'sql:.'))
      made.pk12util.push(run('pk12util', '-l', 'rsa.p12', '-W', password, '-d', 'sql:.'))
    }
    return made
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
