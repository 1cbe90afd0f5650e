import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { readJks } from '../../platform/java/jks.ts'
import { certificatesIn } from '../../platform/pem.ts'
import { RootlingError } from '../errors.ts'
import type { Known } from './checks/check.ts'

/**
 * The variables with options of Java. Where several set the same property, the last of these counts:
 * JAVA_TOOL_OPTIONS are read first, then the command line, to which JDK_JAVA_OPTIONS belong, and
 * then _JAVA_OPTIONS.
 */
const variables = ['JAVA_TOOL_OPTIONS', 'JDK_JAVA_OPTIONS', '_JAVA_OPTIONS'] as const

/** A file of roots that variables give to Java in the place of its own. */
export interface JavaTrustStore {
  readonly variable: string
  /** An absolute path. */
  readonly file: string
  /** What Java is told to open the file with; `null`: nothing. */
  readonly password: string | null
}

/**
 * Returns the file of roots that variables give to Java; `null`: it reads its own, or, as on Windows
 * and macOS it can be told to, a store of the system.
 */
export function javaTrustStore(
  env: Readonly<Record<string, string | undefined>>,
  cwd: string | null,
): JavaTrustStore | null {
  const property = (name: string) =>
    variables
      .flatMap((variable) =>
        wordsOf(env[variable] ?? '').flatMap((word) =>
          word.startsWith(`-D${name}=`) ? [{ variable, value: word.slice(name.length + 3) }] : [],
        ),
      )
      .at(-1)
  const store = property('javax.net.ssl.trustStore')
  const type = property('javax.net.ssl.trustStoreType')?.value ?? ''
  // NONE is for stores that are no files, such as Windows-ROOT and KeychainStore.
  if (store === undefined || ['', 'NONE'].includes(store.value)) return null
  if (/^(?:windows-|keychainstore)/i.test(type)) return null
  const { variable, value } = store
  const password = property('javax.net.ssl.trustStorePassword')?.value ?? null
  return { variable, file: resolve(cwd ?? '/', value), password }
}

/** Splits options as Java does: at white space, except in single or double quotes. */
const wordsOf = (text: string): string[] =>
  (text.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? []).map((word) =>
    word.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'),
  )

/** The largest keystore that is read, in octets. */
const largest = 16 * 1024 * 1024

/**
 * Returns the DER of the roots that Java reads from a file with the password that it was given. Only
 * keytool reads other formats than Java's own. Throws `store-failed` where Java cannot read the file,
 * `tool-missing` where keytool is needed and not there.
 */
export async function rootsForJava(
  { file, password }: JavaTrustStore,
  { machine }: Pick<Known, 'machine'>,
): Promise<Buffer[]> {
  const failed = (reason: string): RootlingError => new RootlingError('store-failed', reason)
  const info = await stat(file).catch(() => null)
  if (info === null) throw failed('it is not there')
  if (!info.isFile()) throw failed('it is no file')
  if (info.size > largest) throw failed('it is too large')
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw failed(`it cannot be read (${error.code ?? error.message})`)
  })
  const entries = readJks(bytes, password)
  if (entries !== null) return entries.map(({ der }) => der)
  const keytool = await machine.find('keytool')
  if (keytool === null)
    throw new RootlingError('tool-missing', 'only keytool, which is not there, can read it')
  // Without a password, Java and keytool leave out what is sealed with one.
  const { exitCode, stdout, stderr } = await machine.query(
    keytool,
    ['-list', '-rfc', '-keystore', file, '-J-Duser.language=en'],
    { secret: `${password ?? ''}\n` },
  )
  if (exitCode === 0) return certificatesIn(stdout)
  if (/password was incorrect/i.test(stdout + stderr)) throw failed('its password is another one')
  throw failed('keytool cannot read it')
}
