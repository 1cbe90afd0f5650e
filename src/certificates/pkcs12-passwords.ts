import { createPrivateKey } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { readFileSync } from 'node:fs'
import { RootlingError } from '../errors.ts'
import { exists } from '../files/exists.ts'
import { readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { readInventory } from '../storage/files/record.ts'
import type { CertificateRecord, ExtraFile } from '../storage/records.ts'
import { refuseCostlyPkcs12 } from '../x509/pkcs12-cost.ts'

/** Asks for the password of a PKCS #12 file, given its path; `null`: it is not known. */
export type AskPassword = (path: string) => Promise<string | null>

/** The passwords of a certificate's PKCS #12 files, by their paths. */
export interface Pkcs12Passwords {
  readonly passwords: ReadonlyMap<string, string>
  /** A sentence for each file that has to stay as it is. */
  readonly warnings: readonly string[]
}

/**
 * Reads or asks for the passwords of a certificate's PKCS #12 files, and tries each on its file.
 * Call it before the lock is taken, since a person may take long to answer.
 */
export async function pkcs12Passwords(
  { keyPath, extra = [] }: CertificateRecord,
  ask: AskPassword | undefined,
): Promise<Pkcs12Passwords> {
  const passwords = new Map<string, string>()
  const warnings: string[] = []
  for (const file of extra) {
    if (file.format !== 'pkcs12') continue
    try {
      const password = await passwordOf(file, ask)
      await refuseForKey(keyPath, password)
      passwords.set(file.path, password)
    } catch (error) {
      if (!(error instanceof RootlingError) || error.code === 'cancelled') throw error
      warnings.push(`${file.path} still holds the old certificate, since ${error.message}`)
    }
  }
  return { passwords, warnings }
}

/**
 * Returns the password that was kept when a PKCS #12 file was issued to this path; `null`: none was,
 * or it is gone.
 */
export async function keptPassword(state: StateDirectory, path: string): Promise<string | null> {
  const { certificates } = await readInventory(state, { onDamage: () => undefined })
  const file = certificates
    .flatMap(({ extra = [] }) => extra)
    .findLast((each) => each.format === 'pkcs12' && each.path === path)
  if (file?.passwordFile === undefined) return null
  const text = await readText(file.passwordFile).catch(() => null)
  return text?.split(/\r?\n/)[0] ?? null
}

async function passwordOf(
  { path, passwordFile }: ExtraFile,
  ask: AskPassword | undefined,
): Promise<string> {
  if (passwordFile === undefined) {
    const answer = (await ask?.(path)) ?? null
    if (answer === null) throw fault('its password is not kept.')
    await refuseWrong(path, answer, 'the password that was given')
    return answer
  }
  const text = await readText(passwordFile)
  if (text === null) throw fault(`${passwordFile}, which keeps its password, is gone.`)
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
    throw fault(`its password does not open ${keyPath}.`)
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
