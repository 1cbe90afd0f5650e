import { X509Certificate } from 'node:crypto'
import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { expectSuccess, type CommandResult } from '../command.ts'
import { exists } from '../file-status.ts'
import type { Actor, Machine } from '../machine.ts'
import { certificatesIn } from '../pem.ts'

/** One certificate database of NSS, which Chromium and Firefox read. */
export interface NssDatabase {
  readonly directory: string
  /** `sql` is cert9.db; `dbm` is the older cert8.db. */
  readonly scheme: 'sql' | 'dbm'
  /** The name by which a person knows the database. */
  readonly title: string
  /** The owner of the database. */
  readonly as: Actor
  /**
   * Whether `install` creates the database when it is missing: a browser that never ran has not
   * made its own yet.
   */
  readonly create: boolean
  /**
   * Whether this is the profile of a Firefox, whose policy may have copied the root into the
   * database.
   */
  readonly firefox: boolean
}

export interface NssEntry {
  readonly nickname: string
  /** What the certificate is trusted for, in NSS's notation, such as `C,,`. */
  readonly flags: string
}

export interface NssEntryWithCertificates extends NssEntry {
  /** Every certificate under the nickname: NSS answers with all that have the same subject. */
  readonly certificates: readonly Buffer[]
}

/**
 * Names an empty password file: certutil would otherwise ask for a primary password on the
 * terminal.
 */
export const noPassword = ['-f', '/dev/null'] as const

/** Returns the arguments that name a database to the tools of NSS. */
export const targetOf = ({ directory, scheme }: NssDatabase): readonly string[] => [
  '-d',
  `${scheme}:${directory}`,
]

export const databaseFileOf = ({ directory, scheme }: NssDatabase): string =>
  path.join(directory, scheme === 'sql' ? 'cert9.db' : 'cert8.db')

/**
 * Runs NSS's certutil on one database. Each method throws `tool-missing` when certutil is not
 * there.
 */
export interface Certutil {
  /**
   * Returns the absolute path of certutil. For a database that root owns, only a certutil that
   * nobody but root can change counts.
   */
  program(): Promise<string>
  query(...args: readonly string[]): Promise<CommandResult>
  change(args: readonly string[], input?: string): Promise<CommandResult>
  /** Returns every entry; none when there is no database yet. Throws `tool-failed`. */
  entries(): Promise<NssEntry[]>
  /** Returns the entries with their certificates; one call of certutil reads all it can. */
  withCertificates(entries: readonly NssEntry[]): Promise<NssEntryWithCertificates[]>
}

export function createCertutil(machine: Machine, database: NssDatabase): Certutil {
  const { as } = database
  const target = targetOf(database)

  const certutil: Certutil = {
    async program() {
      const program = await machine.find('certutil', { forRoot: as === 'root' })
      if (program !== null) return program
      throw new RootlingError('tool-missing', 'certutil is not there.', { hint: installHint })
    },

    async query(...args) {
      return machine.query(await certutil.program(), [...args, ...target])
    },

    async change(args, input) {
      const options = input === undefined ? { as } : { as, input }
      const line = [...args, ...target, ...noPassword]
      return machine.change(await certutil.program(), line, options)
    },

    async entries() {
      if (!(await exists(databaseFileOf(database)))) return []
      return parseListing(expectSuccess('certutil', await certutil.query('-L')).stdout)
    },

    async withCertificates(entries) {
      const read = await readBatch(entries.filter(fitsBatch))
      const found: NssEntryWithCertificates[] = []
      for (const entry of entries)
        found.push({ ...entry, certificates: read.get(entry) ?? (await readOne(entry)) })
      return found
    },
  }

  async function readOne({ nickname }: NssEntry): Promise<Buffer[]> {
    return certificatesIn((await certutil.query('-L', '-n', nickname, '-a')).stdout)
  }

  /**
   * Reads the certificates of all entries by one call of certutil. Returns none when that call
   * fails, as it does when an entry was removed meanwhile.
   */
  async function readBatch(
    entries: readonly NssEntry[],
  ): Promise<ReadonlyMap<NssEntry, readonly Buffer[]>> {
    if (entries.length < 2) return new Map()
    const input = entries.map(({ nickname }) => `-L -a -n "${nickname}"\n`).join('')
    const args = ['-B', '-i', '/dev/stdin', ...target]
    const { exitCode, stdout } = await machine.query(await certutil.program(), args, { input })
    const parts = exitCode === 0 ? splitBySubject(certificatesIn(stdout)) : []
    if (parts.length !== entries.length) return new Map()
    return new Map(entries.map((entry, index) => [entry, parts[index] ?? []]))
  }

  return certutil
}

/**
 * Whether a batch can name an entry: certutil reads 511 bytes of a line of a batch, and takes no
 * quotation mark within a nickname.
 */
function fitsBatch({ nickname }: NssEntry): boolean {
  return !/["\\]/.test(nickname) && Buffer.byteLength(nickname) < 450
}

/**
 * Returns the certificates of each entry from those of a batch, in which nothing separates two
 * entries. An entry has all certificates of one subject, so neighbours of the same subject repeat
 * them. Returns none when a certificate cannot be parsed.
 */
export function splitBySubject(certificates: readonly Buffer[]): Buffer[][] {
  const runs: Buffer[][] = []
  let previous: string | null = null
  for (const der of certificates) {
    const subject = subjectOf(der)
    if (subject === null) return []
    if (subject === previous) runs.at(-1)?.push(der)
    else runs.push([der])
    previous = subject
  }
  return runs.flatMap((run) => {
    const { size } = new Set(run.map((der) => der.toString('base64')))
    return Array.from({ length: run.length / size }, (_, index) =>
      run.slice(index * size, (index + 1) * size),
    )
  })
}

function subjectOf(der: Buffer): string | null {
  try {
    return new X509Certificate(der).subject ?? ''
  } catch {
    return null
  }
}

/** The hint of the errors for a missing NSS tool. */
export const installHint =
  'Install the tools of NSS: libnss3-tools, nss-tools, mozilla-nss-tools or nss'

/**
 * Returns the rows that `certutil -L` printed: a nickname, which may hold spaces, and its flags.
 */
export function parseListing(text: string): NssEntry[] {
  const entries: NssEntry[] = []
  for (const line of text.split('\n')) {
    const match = /^(.*\S)\s+([a-zA-Z]*,[a-zA-Z]*,[a-zA-Z]*)\s*$/.exec(line)
    if (match?.[1] !== undefined && match[2] !== undefined && match[2] !== 'SSL,S/MIME,JAR/XPI')
      entries.push({ nickname: match[1], flags: match[2] })
  }
  return entries
}
