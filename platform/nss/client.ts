import { chmod, chown, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import {
  identityOf,
  type ClientCertificateStore,
  type ClientIdentity,
  type HeldIdentity,
} from '../client-store.ts'
import { expectSuccess, type CommandResult } from '../command.ts'
import type { Machine } from '../machine.ts'
import { parseListing, type NssDatabase } from './store.ts'
import { missingTool } from '../packages.ts'
import { certificatesIn, createAnchor, fingerprintOf } from '../pem.ts'

/** A PKCS #12 file and its password where only the person can read them. */
export interface PrivatePkcs12 {
  readonly file: string
  readonly passwordFile: string
  /** What the person called the file, for a dry run. */
  readonly shown: string
}

interface Entry {
  readonly nickname: string
  readonly flags: string
  /** NSS answers a nickname with every certificate of the same subject. */
  readonly certificates: readonly Buffer[]
}

/** The person's certificates in one NSS database, through pk12util and certutil. */
export function createNssClientStore(
  machine: Machine,
  database: NssDatabase,
): ClientCertificateStore<ClientIdentity, PrivatePkcs12> {
  const { directory, scheme, as, title } = database
  const target = ['-d', `${scheme}:${directory}`]
  // Without it both would ask for a primary password on the terminal.
  const unattended = { certutil: ['-f', '/dev/null'], pk12util: ['-k', '/dev/null'] } as const

  async function change(tool: Tool, args: readonly string[], input?: string) {
    const options = input === undefined ? { as } : { as, input }
    const words = [...args, ...target, ...unattended[tool]]
    return machine.change(await find(machine, tool), words, options)
  }

  async function entries(): Promise<Entry[]> {
    const certutil = await find(machine, 'certutil')
    const listing = await machine.query(certutil, ['-L', ...target])
    const found: Entry[] = []
    for (const entry of parseListing(expectSuccess('certutil', listing).stdout)) {
      const args = ['-L', '-n', entry.nickname, '-a', ...target]
      const { stdout } = await machine.query(certutil, args)
      found.push({ ...entry, certificates: certificatesIn(stdout) })
    }
    return found
  }

  async function holderOf(fingerprint: string): Promise<Entry | undefined> {
    return (await entries()).find(
      (entry) =>
        hasKey(entry) && entry.certificates.some((der) => fingerprintOf(der) === fingerprint),
    )
  }

  /** `-F` would take the key too, which a renewed certificate beside this one still needs. */
  async function removeOne({ nickname, certificates }: Entry, fingerprint: string) {
    if (certificates.length === 1) {
      expectSuccess('certutil', await change('certutil', ['-F', '-n', nickname]))
      return
    }
    for (const _ of certificates) {
      expectSuccess('certutil', await change('certutil', ['-D', '-n', nickname]))
      const left = (await entries()).flatMap((entry) => entry.certificates)
      if (!left.some((der) => fingerprintOf(der) === fingerprint)) break
    }
    const left = new Set(
      (await entries()).flatMap(({ certificates }) => certificates.map(fingerprintOf)),
    )
    for (const der of certificates) {
      if (fingerprintOf(der) === fingerprint || left.has(fingerprintOf(der))) continue
      const args = ['-A', '-a', '-t', ',,', '-n', nickname]
      expectSuccess('certutil', await change('certutil', args, createAnchor(der).pem))
    }
  }

  /** Issuers without trust that came along, unless another certificate of the person stands below. */
  async function removeIssuers(issuers: readonly string[]) {
    if ((await entries()).some(hasKey)) return
    for (const { nickname, flags, certificates } of await entries()) {
      const came = certificates.every((der) => issuers.includes(fingerprintOf(der)))
      if (flags !== ',,' || certificates.length !== 1 || !came) continue
      expectSuccess('certutil', await change('certutil', ['-D', '-n', nickname]))
    }
  }

  const store: ClientCertificateStore<ClientIdentity, PrivatePkcs12> = {
    id: `nss:${directory}`,
    kind: 'nss',
    title,

    async availability() {
      const file = path.join(directory, scheme === 'sql' ? 'cert9.db' : 'cert8.db')
      if (!(await stat(file).catch(() => null))) {
        const reason = `${title} has no database yet.`
        return { available: false, code: 'absent', reason, hint: 'rootling install makes it' }
      }
      for (const tool of ['pk12util', 'certutil'] as const) {
        if ((await machine.find(tool)) !== null) continue
        return missingTool(machine, 'certutil', `${tool}, which writes ${title}, is not there.`)
      }
      return { available: true }
    },

    has: async ({ fingerprint }) => (await holderOf(fingerprint)) !== undefined,

    async install(pkcs12, identity, nickname) {
      const holder = await holderOf(identity.fingerprint)
      if (holder === undefined) {
        // A dry run shows what a person would type: pk12util then asks for the password.
        const args = machine.dryRun
          ? ['-i', pkcs12.shown]
          : ['-i', pkcs12.file, '-w', pkcs12.passwordFile]
        const imported = await change('pk12util', args)
        if (imported.exitCode !== 0) throw refusal(database, machine.person.name, imported)
      }
      if (nickname === undefined || machine.dryRun) return
      const made = await holderOf(identity.fingerprint)
      if (made === undefined || made.nickname === nickname) return
      const args = ['--rename', '-n', made.nickname, '--new-n', nickname, ...target]
      const renamed = await machine.change(await find(machine, 'certutil'), args, { as })
      expectSuccess('certutil', renamed)
    },

    async remove(identity) {
      const holder = await holderOf(identity.fingerprint)
      if (holder === undefined) return
      if (machine.dryRun) {
        await change('certutil', ['-F', '-n', holder.nickname])
        return
      }
      await removeOne(holder, identity.fingerprint)
      await removeIssuers(identity.issuers)
    },
  }
  return store
}

type Tool = 'pk12util' | 'certutil'

async function find(machine: Machine, tool: Tool): Promise<string> {
  const program = await machine.find(tool)
  if (program !== null) return program
  throw new RootlingError('tool-missing', `${tool} is not there.`, {
    hint: 'install the tools of NSS: libnss3-tools, nss-tools, mozilla-nss-tools or nss',
  })
}

/** `u` in the flags: the database has the private key. */
const hasKey = ({ flags }: Entry): boolean => flags.includes('u')

/** The password of the file was right before, so that one that is wrong now is the database's. */
function refusal({ title, directory }: NssDatabase, user: string, result: CommandResult) {
  const said = `${result.stderr}${result.stdout}`
  if (/SEC_ERROR_(?:BAD_PASSWORD|TOKEN_NOT_LOGGED_IN)|SEC_ERROR_NEED_PASSWORD/.test(said)) {
    return new RootlingError('store-failed', `${title} is locked by a primary password.`, {
      hint: `import the file in the browser's settings, or: pk12util -d sql:${directory} -i FILE`,
    })
  }
  if (/READ_ONLY|SEC_ERROR_BAD_DATABASE/.test(said)) {
    return new RootlingError('store-failed', `${title} is not writable for ${user}.`, {
      hint: `sudo chown -R ${user} ${directory}`,
    })
  }
  const last = said.trim().split('\n').at(-1) ?? ''
  return new RootlingError('tool-failed', `pk12util did not write ${title}: ${last.slice(0, 300)}`)
}

/**
 * Lends a PKCS #12 file and its password to pk12util: in a directory that only the person can enter, gone afterwards.
 * The password never stands among a program's arguments, which every user can read.
 */
export async function withPrivatePkcs12<T>(
  { person }: Machine,
  { contents, password, shown }: { contents: Buffer; password: string; shown: string },
  use: (pkcs12: PrivatePkcs12) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(path.join(tmpdir(), 'rootling-'))
  try {
    const file = path.join(directory, 'client.p12')
    const passwordFile = path.join(directory, 'password')
    await writeFile(file, contents, { mode: 0o600, flag: 'wx' })
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600, flag: 'wx' })
    await chmod(directory, 0o700)
    if (person.viaSudo)
      for (const made of [file, passwordFile, directory]) await chown(made, person.uid, person.gid)
    return await use({ file, passwordFile, shown })
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Reads whose certificate it is. Throws `bad-key`: a wrong password, or no PKCS #12 with one key. */
export async function identityIn(
  machine: Machine,
  { file, passwordFile, shown }: PrivatePkcs12,
): Promise<ClientIdentity> {
  const pk12util = await find(machine, 'pk12util')
  // A database that is not there: nothing but the file is read.
  const database = ['-d', `sql:${path.dirname(file)}`]
  const listed = await machine.query(pk12util, ['-l', file, '-w', passwordFile, ...database])
  if (listed.exitCode !== 0) {
    if (/BAD_PASSWORD|INVALID_MAC|PKCS12_PRIVACY/.test(listed.stderr)) {
      throw new RootlingError('bad-key', `The password does not open ${shown}.`, {
        hint: '--password-file FILE, whose first line is the password that rootling issue printed',
      })
    }
    throw new RootlingError('bad-key', `${shown} is no PKCS #12 file that NSS can read.`, {
      hint: 'rootling issue --client alice@example.test --pkcs12',
    })
  }
  const { keyed, others } = parsePkcs12Listing(listed.stdout)
  const [fingerprint] = keyed
  if (fingerprint === undefined || keyed.length > 1) {
    const held = keyed.length === 0 ? 'no certificate with its key' : `${keyed.length} keys`
    throw new RootlingError('bad-key', `${shown} holds ${held}, and exactly one is needed.`)
  }
  return { fingerprint, issuers: others }
}

/** 32 octets over two lines; each character can be read in one way only, whatever the file holds. */
const sha256 = /Fingerprint \(SHA-256\):\s+([0-9A-F]{2}(?:[:\s]\s*[0-9A-F]{2}){31})\s/

/** The SHA-256 of each certificate that `pk12util -l` tells of, with and without a private key. */
export function parsePkcs12Listing(text: string): { keyed: string[]; others: string[] } {
  const found: { keyed: string[]; others: string[] } = { keyed: [], others: [] }
  for (const block of text.split(/^(?=Certificate(?:\(has private key\))?:$)/m)) {
    const octets = sha256.exec(block)?.[1]
    if (octets === undefined) continue
    const fingerprint = octets.replaceAll(/[:\s]/g, '').toLowerCase()
    const list = block.startsWith('Certificate(has') ? found.keyed : found.others
    list.push(fingerprint)
  }
  return found
}

/** The identity of a PEM file: its first certificate, and those after it; `null`: there is none. */
export function identityOfPem(text: string): HeldIdentity | null {
  const [own, ...others] = certificatesIn(text)
  return own === undefined ? null : identityOf([own, ...others])
}
