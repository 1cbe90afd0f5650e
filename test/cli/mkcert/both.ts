import { X509Certificate } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { run, type Finished } from '../../helpers/subprocess.ts'

/** Where Debian's package puts the real one. */
export const realMkcert = '/usr/bin/mkcert'

/** Why there is nothing to compare with; `null`: there is. */
export function mkcertMissing(): string | null {
  return existsSync(realMkcert) ? null : `${realMkcert} is not installed`
}

/** What a line left and said, as far as scripts can see it. */
export interface Observed {
  readonly exitCode: number | null
  /** Name to mode, of the files that the line wrote. */
  readonly files: Readonly<Record<string, string>>
  /** Name to what the first certificate of the file is. */
  readonly certificates: Readonly<Record<string, CertificateFacts>>
  /** The sentences that scripts look for, dates left out. */
  readonly said: readonly string[]
}

export interface CertificateFacts {
  readonly key: string
  /** In alphabetical order: mkcert writes them by type, ours as they were typed. */
  readonly names: string | undefined
  readonly usages: readonly string[]
  readonly ca: boolean
}

/** One of the two programs, with a home and a CA of its own. */
export interface Side {
  readonly caroot: string
  /** Runs a line in the given directory; no trust store is touched, unless `env` says otherwise. */
  run(
    args: readonly string[],
    cwd: string,
    env?: Readonly<Record<string, string>>,
  ): Promise<Finished>
  /** Runs a line in an empty directory, into which `given` is copied first. */
  observe(args: readonly string[], given?: string): Promise<Observed>
  /** An empty directory. */
  directory(): string
  remove(): void
}

export function createSide(program: string): Side {
  const base = mkdtempSync(join(tmpdir(), 'rootling-both-'))
  const home = join(base, 'home')
  const caroot = join(base, 'ca')
  mkdirSync(home)
  const side: Side = {
    caroot,
    directory: () => mkdtempSync(join(base, 'work-')),
    run(args, cwd, env = {}) {
      const environment = { CAROOT: caroot, TRUST_STORES: 'none', ...env }
      const command = [`--chdir=${cwd}`, program, ...args]
      return run('env', command, scrubbedEnvironment(home, environment))
    },
    async observe(args, given) {
      const cwd = side.directory()
      if (given !== undefined) await run('cp', ['-r', `${given}/.`, cwd], scrubbedEnvironment(home))
      const before = new Set(readdirSync(cwd))
      const { exitCode, stderr } = await side.run(args, cwd)
      const names = readdirSync(cwd).filter((name) => !before.has(name))
      return {
        exitCode,
        files: Object.fromEntries(
          names.map((name) => [name, (statSync(join(cwd, name)).mode & 0o777).toString(8)]),
        ),
        certificates: Object.fromEntries(
          names.flatMap((name) => {
            const facts = certificateFacts(readFileSync(join(cwd, name), 'latin1'))
            return facts === null ? [] : [[name, facts]]
          }),
        ),
        said: sentences(stderr),
      }
    },
    remove: () => rmSync(base, { recursive: true }),
  }
  return side
}

const telling =
  /^(?: - "|Created a new certificate|The certificate|The PKCS#12|It will expire on|Reminder:|Note:|The local CA)/

function sentences(stderr: string): string[] {
  return stderr
    .split('\n')
    .filter((line) => telling.test(line))
    .map((line) => line.replace(/^(It will expire on) .* (\S+)$/, '$1 DATE $2'))
}

const usageNames: Readonly<Record<string, string>> = {
  '1.3.6.1.5.5.7.3.1': 'serverAuth',
  '1.3.6.1.5.5.7.3.2': 'clientAuth',
}

function certificateFacts(text: string): CertificateFacts | null {
  if (!text.includes('-----BEGIN CERTIFICATE-----')) return null
  const certificate = new X509Certificate(text)
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey
  const detail = asymmetricKeyDetails?.namedCurve ?? asymmetricKeyDetails?.modulusLength
  return {
    key: `${asymmetricKeyType} ${detail}`,
    names: certificate.subjectAltName?.split(', ').toSorted().join(', '),
    usages: certificate.keyUsage.map((oid) => usageNames[oid] ?? oid),
    ca: certificate.ca,
  }
}
