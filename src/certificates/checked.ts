import { closeSync, constants, lstatSync, openSync, readdirSync, writeSync } from 'node:fs'
import { join, relative } from 'node:path'
import { readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { isDueForRenewal } from '../x509/profiles.ts'

/** What a certificate is said to be; kept.ts has what each means. */
interface Facts {
  readonly ca: string
  readonly caPath: string
  readonly notBefore: Date
  readonly notAfter: Date
  readonly serialNumber: string
  readonly fingerprint: string
}

/**
 * What a check of a kept certificate found, in a file beside it. To check it again takes three times as
 * long as a program otherwise waits for it: two certificates are parsed, a signature and a key are
 * compared, and the record is searched for a revocation. All of that depends on files alone, so a
 * check holds as long as none of them has changed.
 */
interface Checked {
  /** What `stampsOf` returned before the check began. */
  readonly stamps: string
  readonly ca: string
  /** The root's file, relative to the state directory, which may be moved. */
  readonly root: string
  /** Milliseconds since 1970. */
  readonly notBefore: number
  readonly notAfter: number
  readonly serialNumber: string
  readonly fingerprint: string
}

const checkedFile = 'checked.json'

/**
 * Returns a text that changes whenever a file changes by which a kept certificate is judged: itself and
 * its key, every scope, and the record. It has their owners and modes too, since loose ones are
 * refused; `null`: a file is not there, or cannot be asked about.
 */
export function stampsOf(state: StateDirectory, directory: string): string | null {
  const scopes = join(state.path, 'scopes')
  const stamps = [`${process.geteuid?.()}`]
  const add = (path: string): void => {
    const { ino, size, mtimeNs, ctimeNs, mode, uid } = lstatSync(path, { bigint: true })
    stamps.push(`${ino} ${size} ${mtimeNs} ${ctimeNs} ${mode} ${uid}`)
  }
  try {
    add(join(directory, 'cert.pem'))
    add(join(directory, 'key.pem'))
    add(join(state.path, 'certificates.jsonl'))
    for (const scope of readdirSync(scopes)) {
      const path = join(scopes, scope)
      add(path)
      for (const file of readdirSync(path)) {
        stamps.push(`${scope}/${file}`)
        add(join(path, file))
      }
    }
  } catch {
    return null
  }
  return stamps.join('\n')
}

/** Returns what was checked while the files had these stamps; `null`: nothing, or it is due now. */
export async function readChecked(
  state: StateDirectory,
  directory: string,
  stamps: string,
  now: Date,
): Promise<Facts | null> {
  const text = await readText(join(directory, checkedFile), 1024 * 1024).catch(() => null)
  const checked = text === null ? null : parse(text)
  if (checked === null || checked.stamps !== stamps) return null
  const { ca, root, serialNumber, fingerprint } = checked
  const validity = { notBefore: new Date(checked.notBefore), notAfter: new Date(checked.notAfter) }
  if (isDueForRenewal(validity, now)) return null
  return { ca, caPath: join(state.path, root), ...validity, serialNumber, fingerprint }
}

function parse(text: string): Checked | null {
  try {
    const checked = JSON.parse(text) as Checked
    const { stamps, ca, root, serialNumber, fingerprint, notBefore, notAfter } = checked
    const isSound =
      [stamps, ca, root, serialNumber, fingerprint].every((each) => typeof each === 'string') &&
      Number.isFinite(notBefore) &&
      Number.isFinite(notAfter)
    return isSound ? checked : null
  } catch {
    return null
  }
}

/**
 * Keeps what a check found while the files had these stamps. It is written in place and not synced: half
 * a file is no JSON, and then all is checked again. Where it cannot be written, nothing is lost either.
 */
export function writeChecked(
  state: StateDirectory,
  directory: string,
  stamps: string,
  { ca, caPath, notBefore, notAfter, serialNumber, fingerprint }: Facts,
): void {
  // Under sudo the file would be root's.
  if (state.owner !== null) return
  const checked: Checked = {
    stamps,
    ca,
    root: relative(state.path, caPath),
    notBefore: notBefore.getTime(),
    notAfter: notAfter.getTime(),
    serialNumber,
    fingerprint,
  }
  try {
    const { O_WRONLY, O_CREAT, O_TRUNC } = constants
    const flags = O_WRONLY | O_CREAT | O_TRUNC | (constants.O_NOFOLLOW ?? 0)
    const file = openSync(join(directory, checkedFile), flags, 0o600)
    try {
      writeSync(file, JSON.stringify(checked))
    } finally {
      closeSync(file)
    }
  } catch {
    // A directory that may only be read.
  }
}
