import { RootlingError } from '../../src/errors.ts'
import { quotedPath, shellWord } from '../../src/shell-word.ts'
import { complaintOf, expectSuccess, type CommandResult } from '../command.ts'
import { displayCommand } from '../display-command.ts'
import { exists } from '../file-status.ts'
import type { Machine } from '../machine.ts'
import { lacksRoot } from '../lacks-root.ts'
import { missingTool } from '../packages.ts'
import { isOwnRoot } from '../own-subject.ts'
import { createAnchor, distinctAnchors } from '../pem.ts'
import { anchorPrefix, type TrustAnchor, type TrustStore } from '../trust-store.ts'
import { createDatabase, removeCreatedDatabase } from './created-database.ts'
import {
  createCertutil,
  databaseFileOf,
  noPassword,
  targetOf,
  type NssDatabase,
  type NssEntry,
  type NssEntryWithCertificates,
} from './database.ts'
import { damagedBy, obstacleOf } from './obstacle.ts'
import { stampOfDatabase } from './stamp.ts'

/** A store that keeps roots in one NSS database, through certutil. */
export function createNssStore(machine: Machine, database: NssDatabase): TrustStore {
  const { directory, as } = database
  const databaseFile = databaseFileOf(database)
  const certutil = createCertutil(machine, database)

  /** Returns every entry. Throws why the person cannot read the database. */
  async function entries(): Promise<NssEntry[]> {
    try {
      return await certutil.entries()
    } catch (error) {
      throw (
        (await obstacleOf(database, machine.person)) ?? (await damagedBy(database, error)) ?? error
      )
    }
  }

  let last: { stamp: string; all: readonly NssEntryWithCertificates[] } | null = null
  /**
   * Returns what is in the database. A command asks that several times, and certutil opens the database
   * anew for each: nothing is read again while the stamp of the database is the same.
   */
  async function everything(): Promise<readonly NssEntryWithCertificates[]> {
    const stamp = await stampOfDatabase(database)
    if (stamp !== null && last?.stamp === stamp) return last.all
    last = null
    const all = await certutil.withCertificates(await entries())
    if (stamp !== null && (await stampOfDatabase(database)) === stamp) last = { stamp, all }
    return all
  }

  /**
   * Returns the entries that hold exactly this certificate, first the one under the anchor's own
   * name.
   */
  async function entriesOf(anchor: TrustAnchor): Promise<NssEntryWithCertificates[]> {
    const all = await everything()
    const found = all.filter(({ certificates }) =>
      certificates.some((der) => der.equals(anchor.der)),
    )
    return found.toSorted((a, b) => rank(a) - rank(b))

    function rank({ nickname }: NssEntry): number {
      if (nickname === anchor.name) return 0
      return nickname.startsWith(anchorPrefix) ? 2 : 1
    }
  }

  /** Whether the browser trusts an entry. */
  const counts = (entry: NssEntry): boolean =>
    isTrusted(entry) || (database.firefox && isPolicyCopy(entry))

  async function add({ nickname, flags }: NssEntry, pem: string): Promise<CommandResult> {
    last = null
    return certutil.change(['-A', '-a', '-t', flags, '-n', nickname], pem)
  }

  async function remove(nickname: string): Promise<void> {
    last = null
    expectSuccess('certutil', await certutil.change(['-D', '-n', nickname]))
  }

  /** Returns the error of a database that a primary password locks; `null`: none does. */
  async function lock(anchor: TrustAnchor): Promise<RootlingError | null> {
    if (!(await exists(databaseFile))) return null
    const { stderr } = await certutil.query('-K', ...noPassword)
    return stderr.includes(wrongPassword) ? lockedBy(database, anchor, machine) : null
  }

  const store: TrustStore = {
    id: `nss:${directory}`,
    kind: 'nss',
    title: database.title,

    async availability() {
      if (!database.create && !(await exists(databaseFile)))
        return {
          available: false,
          code: 'absent',
          reason: `${quotedPath(directory)} has no database.`,
        }
      if ((await machine.find('certutil', { forRoot: as === 'root' })) !== null)
        return { available: true }
      const reason = `certutil, which writes the database of ${database.title}, is not there.`
      return missingTool(machine, 'certutil', reason)
    },

    async list() {
      const all = await everything()
      const anchors = all.flatMap((entry) => {
        const { nickname, certificates } = entry
        // Firefox's policy, or a person, may have added a root under another nickname.
        if (!nickname.startsWith(anchorPrefix))
          return counts(entry) ? certificates.filter(isOwnRoot).map(createAnchor) : []
        // NSS also answers with other roots of the same subject, which are not listed.
        return certificates.map(createAnchor).filter(({ name }) => name === nickname)
      })
      return distinctAnchors(anchors)
    },

    async heldRoots() {
      const all = await everything()
      return all.filter(counts).flatMap(({ nickname, certificates }) => {
        const line = ['certutil', '-D', ...targetOf(database), '-n', nickname]
        const removal = displayCommand(as === 'root' ? ['sudo', ...line] : line)
        return certificates.map((der) => ({ der, removal }))
      })
    },

    async has(anchor) {
      return (await entriesOf(anchor)).some(counts)
    },

    stamp: () => stampOfDatabase(database),

    lacks: async (anchor) => database.scheme === 'sql' && lacksRoot(databaseFile, anchor.der),

    async obstacle(anchor) {
      const obstacle = (await obstacleOf(database, machine.person)) ?? (await lock(anchor))
      if (obstacle === null) return null
      const { message: reason, hint } = obstacle
      return hint === undefined ? { reason } : { reason, hint }
    },

    async install(anchor) {
      const held = await entriesOf(anchor)
      if (held.some(counts)) return
      if (!(await exists(databaseFile))) await createDatabase(machine, database, certutil)
      const result = await add({ nickname: anchor.name, flags: 'C,,' }, anchor.pem)
      if (result.exitCode === 0) return
      // Without the primary password, certutil adds the certificate but not its trust.
      if (held.length === 0 && (await entriesOf(anchor)).length > 0) await remove(anchor.name)
      throw (
        (await obstacleOf(database, machine.person)) ?? refusal(database, anchor, machine, result)
      )
    },

    async uninstall(anchor) {
      const kept = new Set<string>()
      for (;;) {
        const entry = (await entriesOf(anchor)).find(({ nickname }) => !kept.has(nickname))
        if (entry === undefined) break
        await remove(entry.nickname)
        if (machine.dryRun) return
        if (entry.certificates.length === 1) continue
        const left = await everything()
        const leftCertificates = left.flatMap(({ certificates }) => certificates)
        const lost = entry.certificates.find(
          (der) => !der.equals(anchor.der) && !leftCertificates.some((other) => other.equals(der)),
        )
        if (lost === undefined) continue
        // certutil removed another root of the same subject, which had this nickname. Put that root
        // back, and remove the next entry.
        await add(entry, createAnchor(lost).pem)
        kept.add(entry.nickname)
      }
      await removeCreatedDatabase(machine, database, certutil)
    },
  }
  return store
}

/** Whether the first flag holds `C`: a trusted authority for servers. */
function isTrusted({ flags }: NssEntry): boolean {
  return flags.split(',')[0]?.includes('C') ?? false
}

/**
 * Whether an entry is a copy made by Firefox's policy. Such a copy is trusted, although a certutil
 * older than Firefox shows no flag, because it does not know the newer kind of trust object. An
 * entry under a name of Rootling's without a flag is left from a failed installation.
 */
function isPolicyCopy({ nickname, flags }: NssEntry): boolean {
  return flags === ',,' && !nickname.startsWith(anchorPrefix)
}

function refusal(
  database: NssDatabase,
  anchor: TrustAnchor,
  machine: Machine,
  result: CommandResult,
): RootlingError {
  const { directory, title } = database
  const user = machine.person.name
  if (result.stderr.includes(wrongPassword)) return lockedBy(database, anchor, machine)
  if (result.stderr.includes('SEC_ERROR_READ_ONLY'))
    return new RootlingError('store-failed', `${title} is not writable for ${user}.`, {
      hint: `sudo chown -R ${shellWord(user)} ${shellWord(directory)}`,
    })
  const said = complaintOf(result)
  return new RootlingError('tool-failed', `certutil did not write ${title}: ${said}`)
}

/** What certutil prints for a primary password that it was not given. */
const wrongPassword = 'SEC_ERROR_BAD_PASSWORD'

/** The error of a database with a primary password, which certutil asks for on a terminal. */
function lockedBy(
  { directory, scheme, title }: NssDatabase,
  { name, pem }: TrustAnchor,
  machine: Pick<Machine, 'knownFile'>,
): RootlingError {
  const known = machine.knownFile(pem)
  const target = shellWord(`${scheme}:${directory}`)
  const file = known === null ? 'FILE' : shellWord(known)
  const command = `certutil -A -d ${target} -t C,, -n ${name} -i ${file}`
  return new RootlingError('store-failed', `${title} is locked by a primary password.`, {
    hint: `${known === null ? 'Put the root into a file, then' : 'certutil asks for that password'}: ${command}`,
  })
}
