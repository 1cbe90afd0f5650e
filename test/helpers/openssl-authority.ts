import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Returns the environment for other programs, without the variables that would make them trust
 * other roots.
 */
export function scrubbedEnvironment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'HOME', 'SystemRoot', 'TMPDIR', 'LANG']
  return Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  )
}

export interface Issued {
  cert: string
  key: string
}

export interface LeafOptions {
  issuer?: string
  /** The names in OpenSSL's notation, such as `DNS:a.test,IP:127.0.0.1`. */
  subjectAltName?: string
  notBefore?: Date
  notAfter?: Date
  extensions?: string[]
}

const day = 86_400_000

/**
 * A small certificate authority that OpenSSL makes, so that the code under test does not vouch for
 * itself.
 */
export class OpensslAuthority {
  readonly directory = mkdtempSync(join(tmpdir(), 'rootling-test-'))
  readonly #issued = new Map<string, Issued>()

  constructor() {
    writeFileSync(this.#path('index.txt'), '')
    writeFileSync(this.#path('index.txt.attr'), 'unique_subject = no\n')
    const ca = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign']
    this.#sign('root', 'root', ca)
    this.#sign('intermediate', 'root', ca)
    this.#sign('stranger', 'stranger', ca)
    this.#sign('narrow', 'root', [...ca, 'nameConstraints=critical,permitted;DNS:narrow.test'])
  }

  get(name: string): Issued {
    return this.#issued.get(name) as Issued
  }

  /** Makes a server certificate, followed by its issuer's certificate unless that is a root. */
  leaf(name: string, options: LeafOptions = {}): Issued {
    const issuer = options.issuer ?? 'intermediate'
    const extensions = [
      'basicConstraints=CA:FALSE',
      ...(options.extensions ?? ['extendedKeyUsage=serverAuth']),
      `subjectAltName=${options.subjectAltName ?? 'DNS:localhost,DNS:*.app.test,IP:127.0.0.1,IP:::1'}`,
    ]
    const { cert, key } = this.#sign(name, issuer, extensions, options.notBefore, options.notAfter)
    const withIssuer = issuer === 'intermediate' || issuer === 'narrow'
    return { cert: withIssuer ? cert + this.get(issuer).cert : cert, key }
  }

  write(name: string, text: string): string {
    writeFileSync(this.#path(name), text)
    return this.#path(name)
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }

  run(...args: string[]): string {
    return execFileSync('openssl', args, {
      cwd: this.directory,
      env: scrubbedEnvironment(),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  #sign(
    name: string,
    issuer: string,
    extensions: string[],
    notBefore = new Date(Date.now() - day),
    notAfter = new Date(Date.now() + 30 * day),
  ): Issued {
    const config = `[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nemail_in_dn=no\n[p]\ncommonName=supplied\n[e]\n${extensions.join('\n')}\n`
    writeFileSync(this.#path('ca.cnf'), config)
    this.run(
      'genpkey',
      '-algorithm',
      'EC',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-out',
      `${name}.key`,
    )
    this.run('req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', `${name}.csr`)
    const by = issuer === name ? ['-selfsign'] : ['-cert', `${issuer}.pem`]
    this.run(
      'ca',
      '-batch',
      '-config',
      'ca.cnf',
      '-extensions',
      'e',
      '-notext',
      ...by,
      '-keyfile',
      `${issuer}.key`,
      '-startdate',
      stamp(notBefore),
      '-enddate',
      stamp(notAfter),
      '-in',
      `${name}.csr`,
      '-out',
      `${name}.pem`,
    )
    const issued = {
      cert: readFileSync(this.#path(`${name}.pem`), 'utf8'),
      key: readFileSync(this.#path(`${name}.key`), 'utf8'),
    }
    this.#issued.set(name, issued)
    return issued
  }

  #path(name: string): string {
    return join(this.directory, name)
  }
}

function stamp(date: Date): string {
  return date.toISOString().replace(/[-:T]|\.\d+/g, '')
}
