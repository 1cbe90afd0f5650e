import { createPrivateKey } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { readFileSync } from 'node:fs'
import { RootlingError } from '../errors.ts'
import { exists } from '../files/exists.ts'
import type { Owner } from '../files/owner.ts'
import { readOwnPassword, readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { inJson, readInventoryOf } from '../storage/files/record.ts'
import { issueAgain } from '../storage/issue-again.ts'
import type { CertificateRecord, ExtraFile } from '../storage/records.ts'
import { refuseCostlyPkcs12 } from '../x509/pkcs12-cost.ts'
import { quotedPath } from '../shell-word.ts'

/** Asks for the password of a PKCS #12 file, given its path; `null`: it is not known. */
export type AskPassword = (path: string) => Promise<string | null>

/** The passwords of a certificate's PKCS #12 files, by their paths. */
export interface Pkcs12Passwords {
  readonly passwords: ReadonlyMap<string, string>
  /** A sentence for each file that has to stay as it is, or that is gone. */
  readonly warnings: readonly string[]
  /** The paths of the files that are gone with their passwords, so that renewals forget them. */
  readonly gone: ReadonlySet<string>
}

/**
 * Reads or asks for the passwords of a certificate's PKCS #12 files, and tries each on its file.
 * Call it before the lock is taken, since a person may take long to answer.
 */
export async function pkcs12Passwords(
  { owner }: StateDirectory,
  record: CertificateRecord,
  ask: AskPassword | undefined,
): Promise<Pkcs12Passwords> {
  const { keyPath, extra = [] } = record
  const passwords = new Map<string, string>()
  const warnings: string[] = []
  const gone = new Set<string>()
  for (const file of extra) {
    if (file.format !== 'pkcs12') continue
    try {
      if (await isGone(file)) {
        gone.add(file.path)
        warnings.push(
          `${quotedPath(file.path)} is gone, and its password is not kept, so renewals make it no more. To have it again: ${issueAgain(record)} --pkcs12`,
        )
        continue
      }
      const password = await passwordOf(file, owner, ask)
      await refuseForKey(keyPath, password)
      passwords.set(file.path, password)
    } catch (error) {
      if (!(error instanceof RootlingError) || error.code === 'cancelled') throw error
      warnings.push(
        `${quotedPath(file.path)} still holds the old certificate, since ${causeOf(error)}`,
      )
    }
  }
  return { passwords, warnings, gone }
}

/** Whether a PKCS #12 file was deleted, and nothing says which password a new one would need. */
async function isGone({ path, passwordFile }: ExtraFile): Promise<boolean> {
  return !(await exists(path)) && (passwordFile === undefined || !(await exists(passwordFile)))
}

/** Returns an error as the rest of a sentence, with the command that mends a loose file. */
function causeOf({ code, message, hint }: RootlingError): string {
  if (code !== 'loose-key') return message
  return `${message.charAt(0).toLowerCase()}${message.slice(1)} To mend it: ${hint}`
}

/**
 * Returns the password that was kept when a PKCS #12 file was issued to this path; `null`: none was,
 * or it is gone.
 */
export async function keptPassword(state: StateDirectory, path: string): Promise<string | null> {
  const { certificates } = await readInventoryOf(state, [`"${inJson(path)}"`], {
    onDamage: () => undefined,
  })
  const file = certificates
    .flatMap(({ extra = [] }) => extra)
    .findLast((each) => each.format === 'pkcs12' && each.path === path)
  if (file?.passwordFile === undefined) return null
  const text = await readOwnPassword(file.passwordFile, state.owner).catch(() => null)
  return text?.split(/\r?\n/)[0] ?? null
}

async function passwordOf(
  { path, passwordFile }: ExtraFile,
  owner: Owner | null,
  ask: AskPassword | undefined,
): Promise<string> {
  if (passwordFile === undefined) {
    const answer = (await ask?.(path)) ?? null
    if (answer === null) throw fault('its password is not kept.')
    await refuseWrong(path, answer, 'the password that was given')
    return answer
  }
  const text = await readOwnPassword(passwordFile, owner)
  if (text === null) throw fault(`${quotedPath(passwordFile)}, which keeps its password, is gone.`)
  const password = text.split(/\r?\n/)[0] ?? ''
  await refuseWrong(path, password, `the password in ${passwordFile}`)
  return password
}

/** Throws where a password does not open a PKCS #12 file that is there. */
async function refuseWrong(path: string, passphrase: string, which: string): Promise<void> {
  if (!(await exists(path))) return
  const pfx = readFileSync(path)
  refuseCostlyPkcs12(pfx, 'it')
  try {
    createSecureContext({ pfx, passphrase })
  } catch (cause) {
    throw fault(`${which} does not open it.`, cause)
  }
}

/** Throws where the key's own file is encrypted with another password. */
async function refuseForKey(keyPath: string | null, password: string): Promise<void> {
  const key = keyPath === null ? null : await readText(keyPath)
  if (key?.includes('ENCRYPTED') === true && openKey(key, password) === null)
    throw fault(`its password does not open ${quotedPath(keyPath ?? '')}.`)
}

const fault = (sentence: string, cause?: unknown): RootlingError =>
  new RootlingError('usage', sentence, { cause })

/** Returns the PKCS #8 DER of a PEM key, which may be encrypted with the password; `null`: of none. */
export function openKey(key: string, passphrase: string): Buffer | null {
  try {
    return createPrivateKey({ key, passphrase }).export({ type: 'pkcs8', format: 'der' })
  } catch {
    return null
  }
}
