import { linesOf } from '../../files/lines.ts'
import { isFullPath } from '../../full-path.ts'
import type { Identifier } from '../../x509/identifier.ts'
import { longestSubject, parseSubject } from '../../x509/subject.ts'
import { revocationReasons, type Revocation } from '../../x509/revocation.ts'
import {
  keyModes,
  longestHookSeconds,
  selfSignedScope,
  type CertificateRecord,
  type ExtraFile,
} from '../records.ts'
import { isDate, isScopeName, isText } from './stored-values.ts'

/** What a line of the record says. */
export type Event =
  | { readonly kind: 'issued'; readonly certificate: CertificateRecord }
  | { readonly kind: 'revoked'; readonly revocation: Revocation }
  | { readonly kind: 'released'; readonly serialNumber: string }
  | { readonly kind: 'forgotten'; readonly serialNumber: string }

const begin = '{"event":"'

/** Returns the serial number of the certificate that an event happened to. */
export function serialIn(event: Event): string {
  if (event.kind === 'issued') return event.certificate.serialNumber
  return event.kind === 'revoked' ? event.revocation.serialNumber : event.serialNumber
}

/**
 * Whether a text without a newline, at the end of the record, is empty or only the beginning of a
 * line, as a killed command may leave it. A whole line there counts although its newline is lost,
 * and any other text is damage.
 */
export function isUnfinished(text: string): boolean {
  const own = withoutLastNuls(text)
  return begin.startsWith(own) || (own.startsWith(begin) && parseLine(own) === null)
}

/** Some file systems have NULs where a power cut left a write unfinished. */
function withoutLastNuls(text: string): string {
  let length = text.length
  while (length > 0 && text.charCodeAt(length - 1) === 0) length--
  return text.slice(0, length)
}

/**
 * Splits a piece of the record into its lines. The last piece may end without a newline: what is
 * there is a line too, unless it is unfinished.
 */
export function linesIn(piece: string): string[] {
  const { lines, rest } = linesOf(piece)
  if (!isUnfinished(rest)) lines.push(rest)
  return lines
}

/** How the line of an issued certificate begins; the members of its `CertificateRecord` follow. */
export const issued = '{"event":"issued",'

/**
 * Finds the member `certPath` of each line. Quotes within JSON texts are escaped, so no text can
 * look like this member. The pattern's loop is unrolled, which halves the time.
 */
const certPaths = /"certPath":"[^"\\]*(?:\\.[^"\\]*)*"/g

/** Returns a copy of a part of a text, since a part alone would keep the whole text in memory. */
const detached = (part: string): string => ` ${part}`.slice(1)

/**
 * Returns the lines of certificates whose file no later line names, the newest first; `null`: not
 * every line is of an issued certificate with a file. `taken` holds the files that later lines
 * name; those of these lines are added. Only built-in string methods are used: a JavaScript loop
 * would take longer to compile than to run.
 */
export function linesOfFiles(text: string, taken: Set<string>): string[] | null {
  const paths = text.match(certPaths) ?? []
  const lines = text.split('\n')
  const starts = text.split(`\n${issued}`).length + Number(text.startsWith(issued)) - 1
  if (paths.length !== lines.length - 1 || starts !== paths.length) return null
  const newest: string[] = []
  paths.toReversed().forEach((path, i) => {
    if (taken.has(path)) return
    taken.add(detached(path))
    newest.push(lines[paths.length - 1 - i] ?? '')
  })
  return newest
}

/**
 * Returns what `linesOfFiles` returns, but for lines of any kind: the result has also the lines
 * that are not of an issued certificate and, if `printed`, those of certificates without a file.
 */
export function currentLines(text: string, taken: Set<string>, printed: boolean): string[] {
  return text
    .split('\n')
    .slice(0, -1)
    .toReversed()
    .filter((line) => {
      const path = line.startsWith(issued) ? line.match(certPaths)?.[0] : undefined
      if (path === undefined) return printed || !line.includes('"certPath":null')
      return !taken.has(path) && taken.add(detached(path))
    })
}

/** Parses what a line says; `null`: the line is damaged. */
export function parseLine(line: string): Event | null {
  // An error of JSON.parse takes longer than all else here, and damage may have many lines.
  if (!line.startsWith(begin)) return null
  try {
    if (line.startsWith(issued)) {
      const certificate = JSON.parse(`{${line.slice(issued.length)}`) as CertificateRecord
      return isSoundRecord(certificate) ? { kind: 'issued', certificate } : null
    }
    const { event, ...rest } = JSON.parse(line) as Revocation & { readonly event: unknown }
    if (event === 'revoked' && isSoundRevocation(rest)) return { kind: event, revocation: rest }
    const { serialNumber } = rest
    return (event === 'released' || event === 'forgotten') && isSerialNumber(serialNumber)
      ? { kind: event, serialNumber }
      : null
  } catch {
    return null
  }
}

const isTextOrAbsent = (value: unknown): boolean => value === undefined || isText(value)

const isTrueOrAbsent = (value: unknown): boolean => value === undefined || value === true

const isSeconds = (value: unknown): boolean =>
  Number.isInteger(value) && Number(value) >= 1 && Number(value) <= longestHookSeconds

const isPath = (value: unknown): boolean =>
  isText(value) && isFullPath(value) && !value.includes('\0')

const isPathOrNull = (value: unknown): boolean => value === null || isPath(value)

const isSerialNumber = (value: unknown): boolean => isText(value) && /^[0-9a-f]{2,40}$/.test(value)

const isSoundRevocation = ({ serialNumber, revokedAt, reason }: Partial<Revocation>): boolean =>
  isSerialNumber(serialNumber) &&
  isDate(revokedAt) &&
  revocationReasons.some((known) => known === reason)

/**
 * Whether a parsed line is a complete record of a certificate. This is called for ten thousand
 * lines in a row, so it allocates nothing.
 */
function isSoundRecord(record: Partial<CertificateRecord>): boolean {
  const { identifiers, extra, purpose } = record
  return (
    isSerialNumber(record.serialNumber) &&
    isScope(record.scope) &&
    isText(record.keyType) &&
    keyType.test(record.keyType) &&
    isText(record.fingerprint) &&
    (purpose === 'server' || purpose === 'client') &&
    Array.isArray(identifiers) &&
    identifiers.every(isIdentifier) &&
    isDate(record.notBefore) &&
    isDate(record.notAfter) &&
    isPathOrNull(record.certPath) &&
    isPathOrNull(record.keyPath) &&
    (extra === undefined || (Array.isArray(extra) && extra.every(isExtraFile))) &&
    (record.subject === undefined || isSubject(record.subject)) &&
    (record.keyMode === undefined || keyModes.includes(record.keyMode)) &&
    isTextOrAbsent(record.onRenew) &&
    (record.onRenewSeconds === undefined || isSeconds(record.onRenewSeconds)) &&
    isTextOrAbsent(record.revocationUrl) &&
    (record.responder === undefined || responders.has(record.responder))
  )
}

/** Whether it is the name of a scope, or stands in place of one. */
const isScope = (value: unknown): boolean =>
  isText(value) && (isScopeName(value) || value === selfSignedScope)

/** Matches a KeyType, or the type of a key in a certification request. */
const keyType = /^(?:p256|p384|p521|rsa\d{4,5}|ed25519)$/

const identifierTypes = new Set<unknown>(['dns', 'ip', 'email', 'uri'])
const formats = new Set<unknown>(['chain', 'der', 'full', 'pkcs12'])
const responders = new Set<unknown>(['daemon', 'none'])

/** Whether it has a type and the characters of a name; signing checks it against a scope. */
const isIdentifier = (one: Partial<Identifier> | null): boolean =>
  identifierTypes.has(one?.type) && isText(one?.value) && /^[\x21-\x7e]+$/.test(one.value)

function isSubject(value: unknown): boolean {
  if (!isText(value) || value.length > longestSubject) return false
  parseSubject(value)
  return true
}

const isExtraFile = (one: Partial<ExtraFile> | null): boolean =>
  formats.has(one?.format) &&
  isPath(one?.path) &&
  (one?.passwordFile === undefined || isPath(one.passwordFile)) &&
  isTrueOrAbsent(one?.legacy)
