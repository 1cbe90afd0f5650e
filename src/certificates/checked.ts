import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readdirSync,
  writeSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import { readPrivateText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { isDueForRenewal } from '../x509/profiles.ts'
import { keptDirectory } from './kept-directory.ts'

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
 * What checks of kept certificates found, in a file. To check one again takes four times as long as a
 * program otherwise waits for it: names are parsed, two certificates too, a signature and a key are
 * compared, and the record is searched for a revocation. All of that depends on files alone, so a
 * check holds as long as none of them has changed.
 */
interface Checks {
  /** What `stampsOfAuthority` returned before the checks began. */
  readonly stamps: string
  /** By what was asked for, as text; the newest last. */
  readonly found: Readonly<Record<string, Found>>
}

interface Found {
  /** The name of the certificate's directory. */
  readonly directory: string
  /** What `stampsOfPair` returned before the check began. */
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

const checkedPath = ({ path }: StateDirectory): string => join(path, keptDirectory, 'checked.json')

/** So many checks are kept that the file is read at once. */
const mostFound = 20

/** How the files were by which a kept certificate is judged. */
export interface Stamps {
  readonly authority: string
  readonly pair: string
}

/**
 * Returns texts that change whenever a file changes by which a kept certificate is judged: itself and
 * its key, every scope, and the record. They have owners and modes too, since loose ones are refused.
 * `null`: a file is not there, or cannot be asked about.
 */
export function stampsOf(state: StateDirectory, directory: string): Stamps | null {
  try {
    return { authority: stampsOfAuthority(state), pair: stampsOfPair(state, directory) }
  } catch {
    return null
  }
}

function stampsOfAuthority({ path }: StateDirectory): string {
  const scopes = join(path, 'scopes')
  const stamps = [`${process.geteuid?.()}`, wholeStampOf(join(path, 'certificates.jsonl'))]
  for (const scope of readdirSync(scopes)) {
    const below = join(scopes, scope)
    stamps.push(scope, wholeStampOf(below))
    for (const file of readdirSync(below)) stamps.push(file, wholeStampOf(join(below, file)))
  }
  return stamps.join('\n')
}

const stampsOfPair = ({ path }: StateDirectory, directory: string): string =>
  ['cert.pem', 'key.pem']
    .map((file) => wholeStampOf(join(path, keptDirectory, directory, file)))
    .join('\n')

/** What `stampOf` of files/stamp.ts says, and also owner, mode and the time of any change of these. */
function wholeStampOf(path: string): string {
  const { ino, size, mtimeNs, ctimeNs, mode, uid } = lstatSync(path, { bigint: true })
  return `${ino} ${size} ${mtimeNs} ${ctimeNs} ${mode} ${uid}`
}

/**
 * Returns the directory's name and what was found for `asked`, while no file has changed since; `null`:
 * nothing, or the certificate is due now.
 */
export async function readChecked(
  state: StateDirectory,
  asked: string,
  now: Date,
): Promise<{ readonly directory: string; readonly facts: Facts } | null> {
  const checks = await readChecks(state)
  const found = checks !== null && Object.hasOwn(checks.found, asked) ? checks.found[asked] : null
  if (checks === null || !isSound(found)) return null
  const { directory, ca, root, serialNumber, fingerprint } = found
  const validity = { notBefore: new Date(found.notBefore), notAfter: new Date(found.notAfter) }
  if (isDueForRenewal(validity, now)) return null
  const stamps = stampsOf(state, directory)
  if (stamps?.pair !== found.stamps || stamps.authority !== checks.stamps) return null
  const facts = { ca, caPath: join(state.path, root), ...validity, serialNumber, fingerprint }
  return { directory, facts }
}

async function readChecks(state: StateDirectory): Promise<Checks | null> {
  // What another user may have written is not believed.
  const text = await readPrivateText(checkedPath(state), state.owner).catch(() => null)
  if (text === null) return null
  try {
    const checks = JSON.parse(text) as Checks | null
    const { found } = checks ?? {}
    return typeof found === 'object' && found !== null ? checks : null
  } catch {
    return null
  }
}

function isSound(found: Found | null | undefined): found is Found {
  if (typeof found !== 'object' || found === null) return false
  const { directory, stamps, ca, root, serialNumber, fingerprint, notBefore, notAfter } = found
  return (
    [directory, stamps, ca, root, serialNumber, fingerprint].every(
      (each) => typeof each === 'string',
    ) &&
    /^[0-9a-f]{16}$/.test(directory) &&
    Number.isFinite(notBefore) &&
    Number.isFinite(notAfter)
  )
}

/**
 * Keeps what a check found while the files had these stamps. It is written in place and not synced: half
 * a file is no JSON, and then all is checked again. Where it cannot be written, nothing is lost either.
 */
export async function writeChecked(
  state: StateDirectory,
  asked: string,
  directory: string,
  stamps: Stamps,
  { ca, caPath, notBefore, notAfter, serialNumber, fingerprint }: Facts,
): Promise<void> {
  // Under sudo the file would be root's.
  if (state.owner !== null) return
  const checks = await readChecks(state)
  const others = checks?.stamps === stamps.authority ? Object.entries(checks.found) : []
  const found: Found = {
    directory,
    stamps: stamps.pair,
    ca,
    root: relative(state.path, caPath),
    notBefore: notBefore.getTime(),
    notAfter: notAfter.getTime(),
    serialNumber,
    fingerprint,
  }
  const kept = others.filter(([key, one]) => key !== asked && isSound(one)).slice(1 - mostFound)
  const written: Checks = {
    stamps: stamps.authority,
    found: Object.fromEntries([...kept, [asked, found]]),
  }
  try {
    // O_NONBLOCK: otherwise opening a FIFO would wait for ever.
    const careful = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
    const flags = constants.O_WRONLY | constants.O_CREAT | careful
    const file = openSync(checkedPath(state), flags, 0o600)
    try {
      if (!fstatSync(file).isFile()) return
      ftruncateSync(file)
      writeSync(file, JSON.stringify(written))
    } finally {
      closeSync(file)
    }
  } catch {
    // A directory that may only be read.
  }
}
