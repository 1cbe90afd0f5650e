import { readFileSync, statSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { withAnchorFile, withDirectory } from '../anchor-file.ts'
import { expectSuccess } from '../command.ts'
import { displayCommand } from '../display-command.ts'
import { lacksRoot } from '../lacks-root.ts'
import { readJks, writeJks, type JksEntry as Entry } from './jks.ts'
import type { Actor, Machine } from '../machine.ts'
import { certificatesIn, createAnchor, distinctAnchors } from '../pem.ts'
import { isReadOnly, toMakeWritable } from '../read-only.ts'
import { anchorPrefix, unsupported, type TrustAnchor, type TrustStore } from '../trust-store.ts'
import { quotedPath } from '../../src/shell-word.ts'

/** A `cacerts` file, which holds the trusted roots of one or more Java installations. */
export interface JavaKeystore {
  /** The path of the file itself, with all links resolved. */
  readonly file: string
  /** The keytool that changes this keystore; `null`: there is none that may be run. */
  readonly keytool: string | null
  /** The name by which a person knows the keystore. */
  readonly title: string
}

interface Password {
  readonly text: string
  /** The arguments that give the password to keytool. A secret one is only named by its file. */
  readonly words: readonly string[]
  /** What keytool reads on its standard input: the password that a person typed. */
  readonly secret?: string
}

/**
 * Asks the person for the password of a keystore until `opens` is true of one; `null`: nobody can be
 * asked, or knows it. An answer is remembered for the next call.
 */
export type AskKeystorePassword = (
  file: string,
  opens: (password: string) => Promise<boolean>,
) => Promise<string | null>

/** The usual password. It is no secret: every Java ships its cacerts with it. */
const usual: Password = { text: 'changeit', words: ['-storepass', 'changeit'] }

const typed = (text: string): Password => ({ text, words: [], secret: `${text}\n` })

async function readPassword(file: string): Promise<Password> {
  const text = (await readFile(file, 'utf8')).split(/\r?\n/)[0] ?? ''
  return { text, words: ['-storepass:file', file] }
}
/**
 * The largest keystore that is read without keytool, in octets. Debian's holds 140 roots in 160
 * KiB.
 */
const largestKeystore = 16 * 1024 * 1024

/**
 * A store that keeps roots in one Java keystore. Changes go through keytool; a file in Java's own
 * format is read without keytool. `passwordFile`: the absolute path of a file whose first line is
 * the password of keystores that do not have the usual one; `ask` asks for another.
 */
export function createJavaStore(
  machine: Machine,
  keystore: JavaKeystore,
  passwordFile?: string,
  ask?: AskKeystorePassword,
): TrustStore {
  const { file } = keystore
  let last: { signature: string; entries: Entry[] } | null = null
  /** The password that opened the keystore when it was last read. */
  let password = usual

  const targetWith = ({ words }: Password): string[] => [
    '-keystore',
    file,
    ...words,
    '-J-Duser.language=en',
  ]

  function keytool(): string {
    if (keystore.keytool !== null) return keystore.keytool
    throw new RootlingError('tool-missing', noKeytool(file))
  }

  /** Returns every trusted certificate. The file is read again only when it has changed. */
  async function entries(): Promise<Entry[]> {
    const signature = await signatureOf(file)
    if (last?.signature !== signature) {
      const passwords =
        passwordFile === undefined ? [usual] : [usual, await readPassword(passwordFile)]
      const known = password.secret === undefined ? passwords : [password, ...passwords]
      const read = (await contentsBy(known)) ?? (await contentsByPerson())
      if (read === null) throw wrongPassword()
      password = read.password
      last = { signature, entries: read.entries }
    }
    return last.entries
  }

  const contentsBy = async (passwords: readonly Password[]): Promise<Contents | null> =>
    (await readWithoutKeytool(file, passwords)) ?? askKeytool(passwords)

  async function contentsByPerson(): Promise<Contents | null> {
    const opens = async (text: string): Promise<boolean> =>
      (await contentsBy([typed(text)])) !== null
    const text = (await ask?.(file, opens)) ?? null
    return text === null ? null : contentsBy([typed(text)])
  }

  /** Returns what keytool reads; `null`: none of the passwords is right. */
  async function askKeytool(passwords: readonly Password[]): Promise<Contents | null> {
    for (const each of passwords) {
      const list = ['-list', '-rfc', ...targetWith(each)]
      const listed = await machine.query(keytool(), list, secretOf(each))
      if (/password was incorrect/i.test(listed.stdout + listed.stderr)) continue
      return { password: each, entries: parseKeystore(expectSuccess('keytool', listed).stdout) }
    }
    return null
  }

  function wrongPassword(): RootlingError {
    const tried = passwordFile === undefined ? '' : `, nor is it the one in ${passwordFile}`
    return new RootlingError(
      'store-failed',
      `The password of ${quotedPath(file)} is not changeit, the usual one${tried}.`,
      { hint: 'Give it with --java-storepass-file FILE, whose first line is the password' },
    )
  }

  async function change(args: readonly string[], input?: string) {
    const as = await ownerOf(file, machine)
    const options = { as, ...secretOf(password), ...(input === undefined ? {} : { input }) }
    // Of two keytools at once, each of which writes the whole file, one would lose its root.
    const result = await machine.alone(path.dirname(file), () =>
      machine.change(keytool(), args, options),
    )
    last = null
    const obstacle = result.exitCode === 0 ? null : await readOnly()
    if (obstacle !== null)
      throw new RootlingError('store-failed', obstacle.reason, { hint: obstacle.hint })
    expectSuccess('keytool', result)
  }

  /** Says that the keystore is on a read-only file system; `null`: it is not. */
  async function readOnly(): Promise<{ reason: string; hint: string } | null> {
    const directory = path.dirname(file)
    if (!isReadOnly(directory)) return null
    return { reason: `${file} is on a read-only file system.`, hint: toMakeWritable(directory) }
  }

  /** Imports several roots by one run of keytool, which takes half a second to start. */
  async function importAll(anchors: readonly TrustAnchor[]): Promise<void> {
    await withDirectory(machine, async (directory) => {
      const source = path.join(directory, 'roots.jks')
      const roots = anchors.map(({ name, der }) => ({ alias: name, der }))
      await writeFile(source, writeJks(roots, usual.text), { mode: 0o644 })
      const from = ['-srckeystore', source, '-srcstoretype', 'JKS', '-srcstorepass', usual.text]
      const opened = password.words.map((word) => word.replace(/^-storepass/, '-deststorepass'))
      const to = ['-destkeystore', file, ...opened]
      await change(['-importkeystore', '-noprompt', '-J-Duser.language=en', ...from, ...to])
    })
  }

  const aliasesOf = async (anchor: TrustAnchor) =>
    (await entries()).filter(({ der }) => der.equals(anchor.der)).map(({ alias }) => alias)

  const store: TrustStore = {
    id: `java:${file}`,
    kind: 'java',
    title: keystore.title,

    async availability() {
      if (keystore.keytool !== null) return { available: true }
      return unsupported(noKeytool(file), 'Run it as the user who owns that Java')
    },

    async list() {
      const ours = (await entries()).filter(({ alias }) => isOurs(alias))
      return distinctAnchors(ours.map(({ der }) => createAnchor(der)))
    },

    async heldRoots() {
      const sudo = (await ownerOf(file, machine)) === 'root' ? ['sudo'] : []
      return (await entries()).map(({ alias, der }) => ({
        der,
        removal: displayCommand([
          ...sudo,
          'keytool',
          '-delete',
          '-keystore',
          file,
          '-alias',
          alias,
        ]),
      }))
    },

    obstacle: readOnly,

    has: async (anchor) => (await aliasesOf(anchor)).length > 0,

    lacks: (anchor) => lacksRoot(file, anchor.der),

    async install(anchor) {
      if (await store.has(anchor)) return
      const line = ['-importcert', '-noprompt', '-alias', anchor.name, ...targetWith(password)]
      if (password.secret === undefined) return change(line, anchor.pem)
      // keytool reads the password where it would read the root.
      await withAnchorFile(machine, anchor, (source) => change([...line, '-file', source]))
    },

    together: {
      async install(anchors) {
        const lacking: TrustAnchor[] = []
        for (const anchor of anchors) if (!(await store.has(anchor))) lacking.push(anchor)
        // A dry run shows what a person can type without the temporary keystore.
        if (lacking.length > 1 && !machine.dryRun) await importAll(lacking)
        else for (const anchor of lacking) await store.install(anchor)
      },
    },

    async uninstall(anchor) {
      for (const alias of await aliasesOf(anchor))
        await change(['-delete', '-alias', alias, ...targetWith(password)])
    },
  }
  return store
}

const secretOf = ({ secret }: Password): { readonly secret?: string } =>
  secret === undefined ? {} : { secret }

/**
 * Reads the file without keytool, which takes half a second to start. `null`: only keytool can read
 * the file, or say what is wrong with it.
 */
async function readWithoutKeytool(
  file: string,
  passwords: readonly Password[],
): Promise<Contents | null> {
  const bytes = bytesOf(file)
  if (bytes === null) return null
  for (const password of passwords) {
    const found = readJks(bytes, password.text)
    if (found !== null) return { password, entries: found }
  }
  return null
}

/** Returns the octets of a keystore; `null`: it is too large, or this process may not read it. */
function bytesOf(file: string): Buffer | null {
  if (statSync(file).size > largestKeystore) return null
  try {
    return readFileSync(file)
  } catch {
    return null
  }
}

interface Contents {
  readonly password: Password
  readonly entries: Entry[]
}

/**
 * Whether the alias is one of Rootling's, also with the prefix that Debian's hook gives to roots of
 * the system store.
 */
function isOurs(alias: string): boolean {
  return alias.replace(/^debian:/, '').startsWith(anchorPrefix)
}

/** Returns the trusted certificates that `keytool -list -rfc` printed, but no keys and chains. */
export function parseKeystore(text: string): Entry[] {
  return text.split(/^Alias name: /m).flatMap((part) => {
    const alias = /^(.*)\r?$/m.exec(part)?.[1]?.trim() ?? ''
    const [der] = certificatesIn(part)
    const isTrusted = /^Entry type: trustedCertEntry\r?$/m.test(part)
    return der !== undefined && alias !== '' && isTrusted ? [{ alias, der }] : []
  })
}

async function ownerOf(file: string, machine: Machine): Promise<Actor> {
  return statSync(file).uid === machine.person.uid ? 'person' : 'root'
}

async function signatureOf(file: string): Promise<string> {
  const { ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true })
  return [ino, size, mtimeNs, ctimeNs].join(' ')
}

function noKeytool(file: string): string {
  return `No keytool that only root can change goes with ${quotedPath(file)}, so root does not run it.`
}
