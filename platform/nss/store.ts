import { X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { expectSuccess, type CommandResult } from '../command.ts'
import type { Actor, Machine } from '../machine.ts'
import { missingTool } from '../packages.ts'
import { certificatesIn, createAnchor, distinctAnchors } from '../pem.ts'
import { anchorPrefix, type TrustAnchor, type TrustStore } from '../trust-store.ts'

/** One certificate database of NSS, which Chromium and Firefox read. */
export interface NssDatabase {
  readonly directory: string
  /** `sql` is cert9.db, `dbm` the cert8.db of old. */
  readonly scheme: 'sql' | 'dbm'
  /** What a person calls it. */
  readonly title: string
  /** Whose database it is. */
  readonly as: Actor
  /** A browser that never ran would make it at its first page, so `install` makes it before. */
  readonly create: boolean
  /** A profile of Firefox, whose policy may have copied the root into it. */
  readonly firefox: boolean
}

interface Entry {
  readonly nickname: string
  /** Such as `C,,`: what the certificate is trusted for. */
  readonly flags: string
}

interface Holder extends Entry {
  /** NSS answers a nickname with every certificate of the same subject. */
  readonly certificates: readonly Buffer[]
}

/** Beside a database that Rootling made: names the topmost directory that it made for it, if any. */
const markerName = 'rootling-created'

/** Trust in one NSS database, through certutil. */
export function createNssStore(machine: Machine, database: NssDatabase): TrustStore {
  const { directory, scheme, as } = database
  const databaseFile = path.join(directory, scheme === 'sql' ? 'cert9.db' : 'cert8.db')
  const marker = path.join(directory, markerName)
  const target = ['-d', `${scheme}:${directory}`]
  // An empty password file: certutil would otherwise ask for a primary password on the terminal.
  const unattended = ['-f', '/dev/null']

  async function certutil(): Promise<string> {
    const program = await machine.find('certutil', { forRoot: as === 'root' })
    if (program === null) throw new RootlingError('tool-missing', 'certutil is not there.')
    return program
  }

  async function query(...args: string[]) {
    return machine.query(await certutil(), [...args, ...target])
  }

  async function change(args: readonly string[], input?: string): Promise<CommandResult> {
    const options = input === undefined ? { as } : { as, input }
    return machine.change(await certutil(), [...args, ...target, ...unattended], options)
  }

  async function entries(): Promise<Entry[]> {
    if (!(await exists(databaseFile))) return []
    return parseListing(expectSuccess('certutil', await query('-L')).stdout)
  }

  async function withCertificates(list: readonly Entry[]): Promise<Holder[]> {
    const holders: Holder[] = []
    for (const entry of list) {
      const { stdout } = await query('-L', '-n', entry.nickname, '-a')
      holders.push({ ...entry, certificates: certificatesIn(stdout) })
    }
    return holders
  }

  /** The entries under which this very certificate is found, ours by name first. */
  async function holdersOf(anchor: TrustAnchor): Promise<Holder[]> {
    const names = namesOf(anchor)
    const likely = (await entries()).filter(
      (entry) => isTrusted(entry) || names.some((name) => entry.nickname.includes(name)),
    )
    const holders = (await withCertificates(likely)).filter((holder) => holds(holder, anchor))
    return holders.toSorted((a, b) => rank(a) - rank(b))

    function rank({ nickname }: Entry) {
      if (nickname === anchor.name) return 0
      return nickname.startsWith(anchorPrefix) ? 2 : 1
    }
  }

  async function add(entry: Entry, pem: string) {
    return change(['-A', '-a', '-t', entry.flags, '-n', entry.nickname], pem)
  }

  async function remove(nickname: string) {
    expectSuccess('certutil', await change(['-D', '-n', nickname]))
  }

  async function create() {
    const top = await firstMissing(directory)
    const mkdir = await machine.find('mkdir')
    if (mkdir === null) throw new RootlingError('tool-missing', 'mkdir is not there.')
    const made = await machine.change(mkdir, ['-p', '-m', '0700', directory], { as })
    expectSuccess('mkdir', made)
    const args = ['-N', '--empty-password', ...target]
    expectSuccess('certutil', await machine.change(await certutil(), args, { as }))
    await machine.writeFile(marker, `${top}\n`, as)
  }

  /** Takes a database away again that Rootling made and nobody has put anything into. */
  async function removeOwnDatabase() {
    const top = (await readFile(marker, 'utf8').catch(() => null))?.trim()
    if (top === undefined) return
    const hasKeys = /^<\s*\d+>/m.test((await query('-K', ...unattended)).stdout)
    const isEmpty = (await entries()).length === 0 && !hasKeys
    await machine.removeFile(marker, as)
    if (!isEmpty) return
    for (const name of databaseFiles) await machine.removeFile(path.join(directory, name), as)
    for (const made of upTo(top, directory)) {
      await machine.removeEmptyDirectory(made, as)
    }
  }

  const store: TrustStore = {
    id: `nss:${directory}`,
    kind: 'nss',
    title: database.title,

    async availability() {
      if (!database.create && !(await exists(databaseFile))) {
        return { available: false, code: 'absent', reason: `${directory} has no database.` }
      }
      if ((await machine.find('certutil', { forRoot: as === 'root' })) !== null) {
        return { available: true }
      }
      const reason = `certutil, which writes the database of ${database.title}, is not there.`
      return missingTool(machine, 'certutil', reason)
    },

    async list() {
      const ours = (await entries()).filter(({ nickname }) => nickname.startsWith(anchorPrefix))
      const anchors = (await withCertificates(ours)).flatMap(({ nickname, certificates }) =>
        // Another root of the same subject answers too, and is not ours to list.
        certificates.map(createAnchor).filter(({ name }) => name === nickname),
      )
      return distinctAnchors(anchors)
    },

    async has(anchor) {
      return (await holdersOf(anchor)).some(
        (holder) => isTrusted(holder) || (database.firefox && isPolicyCopy(holder)),
      )
    },

    async install(anchor) {
      if (await store.has(anchor)) return
      const wasThere = (await holdersOf(anchor)).length > 0
      if (!(await exists(databaseFile))) await create()
      const result = await add({ nickname: anchor.name, flags: 'C,,' }, anchor.pem)
      if (result.exitCode === 0) return
      // Without the primary password the certificate goes in and its trust does not.
      if (!wasThere && (await holdersOf(anchor)).length > 0) await remove(anchor.name)
      throw refusal(database, anchor, machine.person.name, result)
    },

    async uninstall(anchor) {
      const kept = new Set<string>()
      for (;;) {
        const holders = await holdersOf(anchor)
        const holder = holders.find(({ nickname }) => !kept.has(nickname))
        if (holder === undefined) break
        await remove(holder.nickname)
        if (machine.dryRun) return
        if (holder.certificates.length === 1) continue
        const left = (await withCertificates(await entries())).flatMap((each) => each.certificates)
        const lost = holder.certificates.find(
          (der) => !der.equals(anchor.der) && !left.some((other) => other.equals(der)),
        )
        if (lost === undefined) continue
        // Another root of the same subject had this nickname: it comes back, the next one goes.
        await add(holder, createAnchor(lost).pem)
        kept.add(holder.nickname)
      }
      await removeOwnDatabase()
    },
  }
  return store
}

const databaseFiles = ['cert9.db', 'key4.db', 'pkcs11.txt']

/** The rows of `certutil -L`: a nickname, which may hold spaces, and its flags. */
export function parseListing(text: string): Entry[] {
  const entries: Entry[] = []
  for (const line of text.split('\n')) {
    const match = /^(.*\S)\s+([a-zA-Z]*,[a-zA-Z]*,[a-zA-Z]*)\s*$/.exec(line)
    if (match?.[1] !== undefined && match[2] !== undefined && match[2] !== 'SSL,S/MIME,JAR/XPI') {
      entries.push({ nickname: match[1], flags: match[2] })
    }
  }
  return entries
}

/** `C` in the first place: a trusted authority for servers. */
function isTrusted({ flags }: Entry): boolean {
  return flags.split(',')[0]?.includes('C') ?? false
}

/**
 * What Firefox's policy put in is trusted, although a certutil older than Firefox shows no flag: it
 * does not know the newer kind of trust object. Ours without a flag is the rest of a failed attempt.
 */
function isPolicyCopy({ nickname, flags }: Entry): boolean {
  return flags === ',,' && !nickname.startsWith(anchorPrefix)
}

function holds(holder: Holder, anchor: TrustAnchor): boolean {
  return holder.certificates.some((der) => der.equals(anchor.der))
}

/**
 * Under which names a database may keep the certificate: ours, or the `CN - O` of the copy that
 * Firefox's policy makes, whose flags say `,,` although Firefox trusts it.
 */
function namesOf(anchor: TrustAnchor): string[] {
  const { subject } = new X509Certificate(anchor.der)
  const values = subject.split('\n').map((line) => line.slice(line.indexOf('=') + 1))
  return [anchor.name, ...values].filter((name) => name.length > 0)
}

function refusal(database: NssDatabase, anchor: TrustAnchor, user: string, result: CommandResult) {
  const { directory, scheme, title } = database
  if (result.stderr.includes('SEC_ERROR_BAD_PASSWORD')) {
    return new RootlingError('store-failed', `${title} is locked by a primary password.`, {
      hint: `put the root into a file, then: certutil -A -d ${scheme}:${directory} -t C,, -n ${anchor.name} -i FILE`,
    })
  }
  if (result.stderr.includes('SEC_ERROR_READ_ONLY')) {
    return new RootlingError('store-failed', `${title} is not writable for ${user}.`, {
      hint: `sudo chown -R ${user} ${directory}`,
    })
  }
  const said = result.stderr.trim().split('\n').at(-1) ?? ''
  return new RootlingError('tool-failed', `certutil did not write ${title}: ${said.slice(0, 300)}`)
}

/** A directory and those above it, up to `top`; none when it is not below `top`. */
function upTo(top: string, directory: string): string[] {
  if (top === '' || !`${directory}/`.startsWith(`${top}/`)) return []
  if (directory === top) return [top]
  return [directory, ...upTo(top, path.dirname(directory))]
}

/** The topmost directory that is not there yet; empty when all are. */
async function firstMissing(directory: string): Promise<string> {
  if (await exists(directory)) return ''
  let missing = directory
  while (!(await exists(path.dirname(missing)))) missing = path.dirname(missing)
  return missing
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}
