import { readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { withDirectory } from '../anchor-file.ts'
import { expectSuccess } from '../command.ts'
import { readJks, writeJks, type JksEntry as Entry } from './jks.ts'
import type { Actor, Machine } from '../machine.ts'
import { certificatesIn, createAnchor, distinctAnchors } from '../pem.ts'
import { anchorPrefix, unsupported, type TrustAnchor, type TrustStore } from '../trust-store.ts'

/** A `cacerts` file, which holds the trusted roots of one or more Java installations. */
export interface JavaKeystore {
  /** The path of the file itself, with all links resolved. */
  readonly file: string
  /** The keytool that changes this keystore; `null`: there is none that may be run. */
  readonly keytool: string | null
  /** The name by which a person knows the keystore. */
  readonly title: string
}

/** The password of the keystore. It is no secret: every Java ships its cacerts with it. */
const storePassword = 'changeit'
/**
 * The largest keystore that is read without keytool, in octets. Debian's holds 140 roots in 160
 * KiB.
 */
const largestKeystore = 16 * 1024 * 1024

/**
 * A store that keeps roots in one Java keystore. Changes go through keytool; a file in Java's own
 * format is read without keytool.
 */
export function createJavaStore(machine: Machine, keystore: JavaKeystore): TrustStore {
  const { file } = keystore
  const target = ['-keystore', file, '-storepass', storePassword, '-J-Duser.language=en']
  let last: { signature: string; entries: Entry[] } | null = null

  function keytool(): string {
    if (keystore.keytool !== null) return keystore.keytool
    throw new RootlingError('tool-missing', noKeytool(file))
  }

  /** Returns every trusted certificate. The file is read again only when it has changed. */
  async function entries(): Promise<Entry[]> {
    const signature = await signatureOf(file)
    if (last?.signature !== signature)
      last = { signature, entries: (await readWithoutKeytool(file)) ?? (await askKeytool()) }
    return last.entries
  }

  async function askKeytool(): Promise<Entry[]> {
    const listed = await machine.query(keytool(), ['-list', '-rfc', ...target])
    return parseKeystore(expectSuccess('keytool', listed).stdout)
  }

  async function change(args: readonly string[], input?: string) {
    const as = await ownerOf(file, machine)
    const options = input === undefined ? { as } : { as, input }
    // Of two keytools at once, each of which writes the whole file, one would lose its root.
    const result = await machine.alone(path.dirname(file), () =>
      machine.change(keytool(), args, options),
    )
    last = null
    expectSuccess('keytool', result)
  }

  /** Imports several roots by one run of keytool, which takes half a second to start. */
  async function importAll(anchors: readonly TrustAnchor[]): Promise<void> {
    await withDirectory(machine, async (directory) => {
      const source = path.join(directory, 'roots.jks')
      const roots = anchors.map(({ name, der }) => ({ alias: name, der }))
      await writeFile(source, writeJks(roots, storePassword), { mode: 0o644 })
      const from = ['-srckeystore', source, '-srcstoretype', 'JKS', '-srcstorepass', storePassword]
      const to = ['-destkeystore', file, '-deststorepass', storePassword]
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

    has: async (anchor) => (await aliasesOf(anchor)).length > 0,

    async install(anchor) {
      if (await store.has(anchor)) return
      await change(['-importcert', '-noprompt', '-alias', anchor.name, ...target], anchor.pem)
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
        await change(['-delete', '-alias', alias, ...target])
    },
  }
  return store
}

/**
 * Reads the file without keytool, which takes half a second to start. `null`: only keytool can read
 * the file, or say what is wrong with it.
 */
async function readWithoutKeytool(file: string): Promise<Entry[] | null> {
  const { size } = await stat(file)
  if (size > largestKeystore) return null
  const bytes = await readFile(file).catch(() => null)
  return bytes === null ? null : readJks(bytes, storePassword)
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
  return (await stat(file)).uid === machine.person.uid ? 'person' : 'root'
}

async function signatureOf(file: string): Promise<string> {
  const { ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true })
  return [ino, size, mtimeNs, ctimeNs].join(' ')
}

function noKeytool(file: string): string {
  return `No keytool that only root can change goes with ${file}, so root does not run it.`
}
