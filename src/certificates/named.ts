import { realpathSync } from 'node:fs'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { RootlingError, UnknownName } from '../errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { existsSync } from '../files/exists.ts'
import { quotedPath, shellWord } from '../shell-word.ts'
import { inJson, readInventoryOf } from '../storage/files/record.ts'
import { issueAgain } from '../storage/issue-again.ts'
import {
  shortSerial,
  shortSerialDigits,
  type CertificateRecord,
  type Inventory,
} from '../storage/records.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import { commonNameText } from '../x509/subject.ts'
import { isKept } from './kept-directory.ts'
import { pathsOf } from './output-files.ts'
import { currentCertificates } from './status.ts'

/**
 * Returns a serial number in lower-case hex, from any form that tools print (`4A:0F:…`); `null`:
 * the text is not one.
 */
export function serialNumberIn(text: string): string | null {
  const hex = /^(?:0x)?((?:[0-9a-f]{2}){1,20})$/i.exec(text)?.[1]
  // Fewer colons might be a host and its port.
  const withColons = /^[0-9a-f]{2}(?::[0-9a-f]{2}){3,19}$/i.test(text) ? text : undefined
  return (hex ?? withColons)?.replaceAll(':', '').toLowerCase() ?? null
}

/**
 * Returns the certificates on record that a person's word names, oldest first. The word is a serial
 * number or its first eight digits or more, the path of a file of the certificate, relative to
 * `cwd`, or one of its names or its common name. A certificate whose file a later one has taken is
 * found only by its serial number, and so is one that was forgotten.
 */
export function certificatesNamed(
  { certificates, forgotten }: Inventory,
  word: string,
  cwd: string,
): CertificateRecord[] {
  const isSerial = serialMatcher(word)
  const isFile = fileMatcher(word, cwd)
  const isName = nameMatcher(word)
  const current = new Set(currentCertificates(certificates))
  return certificates.filter(
    (record) =>
      isSerial(record) ||
      (current.has(record) &&
        !forgotten.has(record.serialNumber) &&
        (isName(record) || isFile(record))),
  )
}

/**
 * Reads the certificates on record that a word names, as `certificatesNamed` finds them. Throws what
 * `refuseShortSerial` throws.
 */
export async function readNamed(
  state: StateDirectory,
  word: string,
  cwd: string,
): Promise<CertificateRecord[]> {
  const inventory = await readInventoryOf(state, textsOf(word, cwd))
  const found = certificatesNamed(inventory, word, cwd)
  if (found.length === 0) refuseShortSerial(inventory, word, cwd)
  return found
}

/**
 * Returns texts for `readInventoryOf`, of which each certificate that `certificatesNamed` or
 * `refuseShortSerial` finds has one.
 */
export function textsOf(word: string, cwd: string): readonly string[] {
  const { whole, start } = serialIn(word)
  const names = [identifierIn(word), word, commonNameText(word), whole]
  return [
    ...names.flatMap((name) => (name === null ? [] : [`"${inJson(name)}"`])),
    ...(start.length < leastSerialDigits ? [] : [`"${start}`]),
    ...pathsMeant(word, cwd).map((path) => `${inJson(sep + basename(path))}"`),
  ]
}

/** Who types so many digits probably means a serial number. */
const leastSerialDigits = 4

/**
 * Throws `usage` for a word that begins a serial number on record, but has too few digits to name
 * it, unless it is a file.
 */
export function refuseShortSerial({ certificates }: Inventory, word: string, cwd: string): void {
  const { start } = serialIn(word)
  if (start.length < leastSerialDigits || start.length >= shortSerialDigits) return
  const meant = certificates.findLast(({ serialNumber }) => serialNumber.startsWith(start))
  if (meant === undefined || existsSync(resolve(cwd, word))) return
  throw new UnknownName(
    'usage',
    `No certificate on record is for ${word}, and for a serial number it is too short.`,
    {
      hint: `Give at least ${shortSerialDigits} digits, as a list shows them: ${shortSerial(meant)}`,
    },
  )
}

/**
 * Throws `usage` for a word that names only certificates without a file, which nothing can `verb`.
 */
export function refusePrinted(
  inventory: Inventory,
  word: string,
  { cwd, verb }: { readonly cwd: string; readonly verb: 'renew' | 'forget' },
): void {
  const printed = certificatesNamed(inventory, word, cwd).findLast(
    ({ certPath }) => certPath === null,
  )
  if (printed === undefined) return
  throw new UnknownName(
    'usage',
    `The certificate for ${quotedPath(word)} was printed or given to a program, so there is no file to ${verb}.`,
    {
      hint:
        verb === 'renew'
          ? `To print a new one: ${issueAgain(printed)} --stdout`
          : `To have clients refuse it: rootling revoke ${shortSerial(printed)}`,
    },
  )
}

type Matcher = (record: CertificateRecord) => boolean

/** Returns the serial number that a word is, if any, and the digits with which one may begin. */
const serialIn = (word: string): { readonly whole: string | null; readonly start: string } => ({
  whole: serialNumberIn(word),
  start: /^[0-9a-f]+(?=(?:…|\.\.\.)?$)/i.exec(word)?.[0].toLowerCase() ?? '',
})

function serialMatcher(word: string): Matcher {
  const { whole, start } = serialIn(word)
  return ({ serialNumber }) =>
    serialNumber === whole || (start.length >= shortSerialDigits && serialNumber.startsWith(start))
}

function nameMatcher(word: string): Matcher {
  const name = identifierIn(word)
  const subject = commonNameText(word)
  return (record) =>
    record.identifiers.some(({ value }) => value === name) ||
    (record.subject !== undefined && (record.subject === word || record.subject === subject))
}

/** Returns the name as `issue` records it, such as an A-label; `null`: no certificate can carry it. */
function identifierIn(word: string): string | null {
  try {
    return parseIdentifier(word).value
  } catch (error) {
    if (error instanceof RootlingError) return null
    throw error
  }
}

/**
 * Returns whether a word is the path of a file of a certificate: as it was recorded, or any path
 * that leads to the same file.
 */
export function fileMatcher(word: string, cwd: string): Matcher {
  const meant = new Set(pathsMeant(word, cwd))
  const names = new Set([...meant].map((one) => basename(one).toLowerCase()))
  return (record) =>
    pathsOf(record).some(
      (own) =>
        meant.has(own) ||
        // Resolving the links of ten thousand paths would take long.
        (names.has(basename(own).toLowerCase()) && meant.has(withRealDirectory(own))),
    )
}

function pathsMeant(word: string, cwd: string): string[] {
  const path = resolve(cwd, word)
  return [path, realPath(path), withRealDirectory(path)]
}

/** Returns a path whose directory has no symbolic links; the file itself may be gone. */
const withRealDirectory = (path: string): string => join(realPath(dirname(path)), basename(path))

function realPath(path: string): string {
  try {
    return realpathSync.native(path)
  } catch {
    return path
  }
}

/** What `kept.ts` makes is nobody's to renew, so a sentence says whose it is. */
export const isKeptSentence =
  'It is kept for serve and certificateFor, which renew it by themselves.'

/** Whether a certificate is one that `kept.ts` made. */
export const isKeptRecord = (state: StateDirectory, { certPath }: CertificateRecord): boolean =>
  certPath !== null && isKept(state, certPath)

/**
 * Returns, of the certificates that a name means, those that a person issued; where `kept.ts` made
 * all of them, all.
 */
export function withoutKept(
  state: StateDirectory,
  found: readonly CertificateRecord[],
): readonly CertificateRecord[] {
  const issued = found.filter((record) => !isKeptRecord(state, record))
  return issued.length === 0 ? found : issued
}

export interface Choice {
  /** What the person typed. */
  readonly word: string
  /**
   * Whether to take every certificate that the word names; else the word must name one alone, and
   * those that `kept.ts` made count only where there are no others.
   */
  readonly all?: boolean | undefined
  /** The command in hints, such as `rootling renew`. */
  readonly command: string
}

/**
 * Returns the certificates that were found for a word. Throws `usage`: there is none, or there are
 * several and `all` was not asked for; the sentence then lists them.
 */
export function chosen(
  state: StateDirectory,
  named: readonly CertificateRecord[],
  { word, all = false, command }: Choice,
): readonly CertificateRecord[] {
  const found = all ? named : withoutKept(state, named)
  const [first] = found
  if (first === undefined)
    throw new UnknownName('usage', `No certificate on record is for ${quotedPath(word)}.`, {
      hint: 'rootling list',
    })
  if (all || found.length === 1) return found
  const rows = found
    .slice(-mostListed)
    .map((record) => `${shortSerial(record)} (${record.certPath ?? 'printed'})`)
  const more = found.length > mostListed ? ` and ${found.length - mostListed} older ones` : ''
  const whose = isKeptRecord(state, first) ? ' They are kept for serve and certificateFor.' : ''
  throw new RootlingError(
    'usage',
    `${word} names ${found.length} certificates: ${rows.join(', ')}${more}.${whose}`,
    {
      hint: `Name one by its serial number, or take all: ${command} ${shellWord(word)} --all`,
    },
  )
}

const mostListed = 8
