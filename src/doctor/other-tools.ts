import { X509Certificate } from 'node:crypto'
import { closeSync, fstatSync, readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Machine } from '../../platform/machine.ts'
import { certificatesIn } from '../../platform/pem.ts'
import { RootlingError } from '../errors.ts'
import { hasCode } from '../files/errors.ts'
import { openNoFollow, sizeWithin } from '../files/read.ts'
import { isFullPath } from '../full-path.ts'
import type { CertificateFacts } from '../x509/inspect.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** The person whose tools they are. */
type Person = Pick<Machine['person'], 'home' | 'uid'>

/** Another tool that puts a root of its own into trust stores. */
export interface Tool {
  readonly name: string
  /** A text in the DER of each of its roots. */
  readonly text: string
  readonly isRoot: (facts: CertificateFacts) => boolean
  /**
   * Returns the SHA-1 fingerprints, upper-case hex, of the roots that the tool keeps on disk now;
   * `null`: its files cannot be read.
   */
  readonly kept: (env: Environment, person: Person) => Promise<ReadonlySet<string> | null>
  /** The command that makes the root of now trusted. */
  readonly again: string
}

const named =
  (pattern: RegExp) =>
  ({ commonNames }: CertificateFacts): boolean =>
    commonNames.some((name) => pattern.test(name))

/** Returns a tool that keeps its root as PEM in one of several places. */
const inFile = (
  tool: Omit<Tool, 'kept'>,
  places: (env: Environment, home: string) => readonly string[],
): Tool => ({ ...tool, kept: async (env, person) => inFiles(places(env, person.home), person) })

/** Returns the directory in which programs keep data, or settings, by the rule of each system. */
function personal(kind: 'data' | 'config', env: Environment, home: string): string {
  if (process.platform === 'darwin') return join(home, 'Library/Application Support')
  if (process.platform === 'win32') return env['LOCALAPPDATA'] ?? join(home, 'AppData/Local')
  const value = env[kind === 'data' ? 'XDG_DATA_HOME' : 'XDG_CONFIG_HOME'] ?? ''
  return isFullPath(value) ? value : join(home, kind === 'data' ? '.local/share' : '.config')
}

/**
 * The other tools, one row for each. Subjects and places are those of mkcert 1.4, devcert 1.2, Caddy
 * 2, portless and .NET 9, read in their sources.
 */
export const otherTools: readonly Tool[] = [
  inFile(
    {
      name: 'mkcert',
      text: 'mkcert development CA',
      isRoot: ({ subject }) => subject.includes('mkcert development CA'),
      again: 'mkcert -install',
    },
    (env, home) => [
      join(env['CAROOT'] || join(personal('data', env, home), 'mkcert'), 'rootCA.pem'),
    ],
  ),
  inFile(
    { name: 'devcert', text: 'devcert', isRoot: named(/^devcert$/), again: 'devcert trust' },
    (env, home) => [
      join(personal('config', env, home), 'devcert/certificate-authority/certificate.cert'),
    ],
  ),
  inFile(
    {
      name: 'Caddy',
      text: 'Caddy Local Authority',
      isRoot: named(/^Caddy Local Authority/),
      again: 'caddy trust',
    },
    (env, home) =>
      [join(personal('data', env, home), 'caddy'), '/var/lib/caddy/.local/share/caddy'].map(
        (each) => join(each, 'pki/authorities/local/root.crt'),
      ),
  ),
  inFile(
    {
      name: 'portless',
      text: 'portless Local CA',
      isRoot: named(/^portless Local CA$/),
      again: 'portless trust',
    },
    (env, home) =>
      [env['PORTLESS_STATE_DIR'] || join(home, '.portless'), '/tmp/portless'].map((each) =>
        join(each, 'ca.pem'),
      ),
  ),
  {
    name: '.NET',
    // The name of each of its certificates; .NET marks them by the extension that is asked for below.
    text: 'localhost',
    isRoot: ({ der, selfSigned }) => selfSigned && der.includes(dotnetExtension),
    again: 'dotnet dev-certs https --trust',
    async kept(_env, { home }) {
      const store = join(home, '.dotnet/corefx/cryptography/x509stores/my')
      const names = await readdir(store).catch(() => [])
      return new Set(names.map((name) => name.replace(/\.pfx$/i, '').toUpperCase()))
    },
  },
]

/** The DER of 1.3.6.1.4.1.311.84.1.1, by which .NET knows its development certificates. */
const dotnetExtension = Buffer.from('060a2b060104018237540101', 'hex')

/** In octets; a file of one root has a few thousand. */
const longest = 1024 * 1024

function inFiles(paths: readonly string[], person: Person): ReadonlySet<string> | null {
  const found = new Set<string>()
  try {
    for (const path of paths)
      for (const der of certificatesIn(readKept(path, person) ?? '')) found.add(sha1Of(der) ?? '')
    return found
  } catch (error) {
    if (error instanceof RootlingError) return null
    throw error
  }
}

/**
 * Reads a file of another tool as text; `null`: the file is absent. Throws `file-unreadable` for
 * what is no small regular file of the person or of root: some places, such as /tmp, are open to
 * every user, who may put a pipe or a device there.
 */
function readKept(path: string, { uid }: Person): string | null {
  const file = openOrAbsent(path)
  if (file === null) return null
  try {
    sizeWithin(path, file, longest)
    const isForeign = ![0, uid, process.geteuid?.()].includes(fstatSync(file).uid)
    // Only root makes directories in /var/lib, each for the user of one service.
    if (process.platform !== 'win32' && isForeign && !path.startsWith('/var/lib/'))
      throw new RootlingError('file-unreadable', `${path} belongs to another user.`)
    return readFileSync(file, 'latin1')
  } finally {
    closeSync(file)
  }
}

function openOrAbsent(path: string): number | null {
  try {
    return openNoFollow(path)
  } catch (error) {
    if (error instanceof RootlingError && hasCode(error.cause, 'ENOTDIR')) return null
    throw error
  }
}

/** Returns the fingerprint; `null`: these bytes are no certificate. */
function sha1Of(der: Buffer): string | null {
  try {
    return new X509Certificate(der).fingerprint.replaceAll(':', '')
  } catch {
    return null
  }
}
