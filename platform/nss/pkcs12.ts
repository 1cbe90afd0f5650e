import { chmod, chown, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { RootlingError, WrongPassword } from '../../src/errors.ts'
import type { ClientIdentity } from '../client-store.ts'
import { makeTemporaryDirectory } from '../command.ts'
import type { Machine } from '../machine.ts'
import { installHint } from './database.ts'

/** A PKCS #12 file and its password, in files that only the person can read. */
export interface PrivatePkcs12 {
  readonly file: string
  readonly passwordFile: string
  /** The name by which the person gave the file, for sentences and dry runs. */
  readonly shown: string
}

/** Returns the absolute path of pk12util. Throws `tool-missing`. */
export async function findPk12util(machine: Machine): Promise<string> {
  const program = await machine.find('pk12util')
  if (program !== null) return program
  throw new RootlingError('tool-missing', 'pk12util is not there.', { hint: installHint })
}

/**
 * Writes a PKCS #12 file and its password for pk12util into a directory that only the person can
 * enter, runs `use`, then removes the directory. The password is never an argument of a program,
 * because every user can read those.
 */
export async function withPrivatePkcs12<T>(
  { person }: Machine,
  { contents, password, shown }: { contents: Buffer; password: string; shown: string },
  use: (pkcs12: PrivatePkcs12) => Promise<T>,
): Promise<T> {
  const directory = await makeTemporaryDirectory()
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

/**
 * Returns the identity in a PKCS #12 file: the certificate that has a key, and the others as its
 * issuers. Throws `bad-key` when the password is wrong, the file is not PKCS #12, or it does not
 * hold exactly one key.
 */
export async function identityIn(
  machine: Machine,
  { file, passwordFile, shown }: PrivatePkcs12,
): Promise<ClientIdentity> {
  const pk12util = await findPk12util(machine)
  // The directory of the file holds no database, so pk12util reads nothing but the file.
  const database = ['-d', `sql:${path.dirname(file)}`]
  const listed = await machine.query(pk12util, ['-l', file, '-w', passwordFile, ...database])
  if (listed.exitCode !== 0) {
    if (/BAD_PASSWORD|INVALID_MAC|PKCS12_PRIVACY/.test(listed.stderr))
      throw new WrongPassword(shown)
    throw new RootlingError('bad-key', `${shown} is not a PKCS #12 file that NSS can read.`, {
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

/**
 * Matches a SHA-256 of 32 octets, which pk12util prints over two lines. No character matches in two
 * ways, so the expression never backtracks.
 */
const sha256 = /Fingerprint \(SHA-256\):\s+([0-9A-F]{2}(?:[:\s]\s*[0-9A-F]{2}){31})\s/

/**
 * Returns the SHA-256 of each certificate that `pk12util -l` lists: those with a private key, and
 * the others.
 */
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
