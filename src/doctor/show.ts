import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { rootCertificates } from 'node:tls'
import { fingerprintOf } from '../../platform/pem.ts'
import { readScopes, type Scope } from '../authority/scope.ts'
import { serialNumberIn } from '../certificates/named.ts'
import { servedRevocationUrl, unansweredUrl } from '../certificates/revocation-url.ts'
import { presentedBy } from '../client/presented.ts'
import { RootlingError, UnknownName } from '../errors.ts'
import { readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { readInventoryOf } from '../storage/files/record.ts'
import type { CertificateRecord, Inventory } from '../storage/records.ts'
import { certificatesIn, inspectCertificate, type CertificateFacts } from '../x509/inspect.ts'
import { isIssuedBy } from '../x509/parsed-certificate.ts'
import { pemBlocks } from '../x509/pem.ts'
import type { Revocation } from '../x509/revocation.ts'
import { findingsOf, type ShowFinding } from './findings.ts'
import { readContents, type FileReading, type ShownObject, type WithPassword } from './objects.ts'

/** What to explain; `contents` are those of a file, PEM or DER. */
export type ShowTarget =
  | ({
      readonly from: 'file'
      readonly contents: Buffer
    } & Pick<FileReading, 'name'> &
      Partial<Pick<FileReading, 'withPassword' | 'passphrase'>>)
  | { readonly from: 'record'; readonly serialNumber: string }
  | { readonly from: 'server'; readonly host: string; readonly port: number }

export interface Shown {
  /** The record of the serial number that was asked for; `null` when none was asked for. */
  readonly record: CertificateRecord | null
  /** The revocation of that certificate; `null`: none is known here. */
  readonly revocation: Revocation | null
  /** Empty when the file of the record is gone, or holds another certificate by now. */
  readonly certificates: readonly ShownCertificate[]
  /** What else a file holds: requests, private keys, CRLs and OCSP responses. */
  readonly objects: readonly ShownObject[]
  /** A sentence for each certificate in a bundle that cannot be read. */
  readonly unreadable: readonly string[]
}

export interface ShownCertificate {
  readonly facts: CertificateFacts
  readonly role: 'leaf' | 'intermediate' | 'root'
  /**
   * The scope of this machine that the certificate belongs to, or whose authority it is; `null`
   * when there is none.
   */
  readonly scope: string | null
  /**
   * `incomplete`: an intermediate that is known here is left out; `unknown`: the issuer is not
   * known.
   */
  readonly chain: 'complete' | 'incomplete' | 'unknown'
  /** `null` when the certificate was not issued here. */
  readonly record: CertificateRecord | null
  readonly revocation: Revocation | null
  readonly findings: readonly ShowFinding[]
}

/** Returns what a word on the command line refers to; a file is not read yet. Throws `usage`. */
export function showTargetOf(
  text: string,
): Exclude<ShowTarget, { from: 'file' }> | { readonly from: 'file' } {
  const serialNumber = serialNumberIn(text)
  if (serialNumber !== null) return { from: 'record', serialNumber }
  if (/^https:\/\//i.test(text) && URL.canParse(text)) {
    const { hostname, port } = new URL(text)
    const host = hostname.replace(/^\[|\]$/g, '')
    return { from: 'server', host, port: Number(port || 443) }
  }
  const match = /^(?:\[([^\]]+)\]|([^:/\\]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  if (host === undefined) return { from: 'file' }
  const port = Number(match?.[3])
  if (port < 1 || port > 65_535 || (match?.[1] !== undefined && isIP(host) !== 6))
    throw new RootlingError('usage', `${text} is not a host and its port.`, {
      hint: 'rootling show localhost:8443',
    })
  return { from: 'server', host, port }
}

/** A file of more certificates is a bundle of authorities, which do not belong to one chain. */
export const longestChain = 10

/**
 * Explains what a file holds, a certificate on record, or the certificates that a server shows.
 * Throws `bad-certificate`, `bad-der`, `bad-key`, `connect-failed`, and `usage` for a serial number
 * not on record and for a password that is needed.
 */
export async function show(state: StateDirectory, target: ShowTarget, now: Date): Promise<Shown> {
  const [scopes, served] = await Promise.all([readScopes(state), servedRevocationUrl(state)])
  const around = { scopes, served, now }
  const explain = async (ders: readonly Buffer[], host: string | null) => {
    const inventory = await readInventoryOf(state, ders.map(fingerprintOf))
    return explained(ders, host, { ...around, inventory })
  }
  const nothing = { record: null, revocation: null, certificates: [], objects: [], unreadable: [] }
  switch (target.from) {
    case 'file': {
      const { name, contents, passphrase, withPassword = noPassword(name) } = target
      const reading = { name, scopes, passphrase, withPassword }
      const { certificates, objects } = await readContents(contents, reading)
      return { ...nothing, objects, ...(await explain(certificates, null)) }
    }
    case 'server': {
      const chain = await presentedBy(target.host, target.port)
      const ders = chain.map(({ raw }) => raw)
      return { ...nothing, ...(await explain(ders, target.host)) }
    }
    case 'record': {
      const inventory = await readInventoryOf(state, [target.serialNumber])
      const record = findRecord(inventory, target.serialNumber)
      const { certificates } = explained(await fileOf(record), null, { ...around, inventory })
      const current = certificates[0]?.record === record
      const revocation = inventory.revocations.get(record.serialNumber) ?? null
      return { ...nothing, record, revocation, certificates: current ? certificates : [] }
    }
  }
}

/** What the faults of certificates are judged by. */
export type Around = Omit<Known, 'pool' | 'first' | 'host'>

/**
 * Returns the faults of the certificate that the file of a record holds now, the first in the file;
 * none where there is no such file.
 */
export async function explainRecord(
  record: CertificateRecord,
  known: Omit<Around, 'served'>,
): Promise<readonly ShowFinding[]> {
  const { certificates } = explained(await fileOf(record), null, { ...known, served: null })
  return certificates[0]?.findings ?? []
}

/** Explains what a server showed, leaf first. Throws `bad-der`, `bad-certificate`. */
export const explainServed = (
  ders: readonly Buffer[],
  host: string,
  known: Around,
): readonly ShownCertificate[] => explained(ders, host, known).certificates

/** Explains certificates that came together; of a bundle, those that can be read. */
function explained(
  ders: readonly Buffer[],
  host: string | null,
  known: Around,
): Pick<Shown, 'certificates' | 'unreadable'> {
  const unreadable: string[] = []
  const bundle = ders.length > longestChain
  const found = ders.flatMap((der, i) => {
    try {
      return [inspectCertificate(der)]
    } catch (error) {
      if (!bundle || !(error instanceof RootlingError)) throw error
      unreadable.push(`Certificate ${i + 1} of ${ders.length} cannot be read: ${error.message}`)
      return []
    }
  })
  // The members of a bundle stand alone, and looking for issuers among thousands would take hours.
  const pool = bundle ? [] : found
  const certificates = found.map((facts, i) =>
    shownCertificate(facts, { pool, first: i === 0 && !bundle, host, ...known }),
  )
  return { certificates, unreadable }
}

const noPassword =
  (name: string): WithPassword =>
  () => {
    throw new RootlingError('usage', `${name} needs its password.`, {
      hint: '--password-file FILE',
    })
  }

function findRecord({ certificates }: Inventory, serialNumber: string): CertificateRecord {
  const record = certificates.find((entry) => entry.serialNumber === serialNumber)
  if (record !== undefined) return record
  throw new UnknownName(
    'usage',
    `No certificate on record has the serial number ${serialNumber}.`,
    { hint: 'rootling list --all --json' },
  )
}

/** The certificates that the file of a record holds now. */
async function fileOf({ certPath }: CertificateRecord): Promise<Buffer[]> {
  if (certPath === null) return []
  try {
    const text = await readText(certPath, 1024 * 1024)
    return text === null ? [] : certificatesIn(Buffer.from(text), certPath)
  } catch (error) {
    if (error instanceof RootlingError) return []
    throw error
  }
}

interface Known {
  readonly scopes: readonly Scope[]
  readonly inventory: Inventory
  /** Where the daemon answers OCSP and CRL requests. */
  readonly served: string | null
  readonly now: Date
  /** The certificates that came from the same file or server, this one included. */
  readonly pool: readonly CertificateFacts[]
  readonly first: boolean
  readonly host: string | null
}

function shownCertificate(facts: CertificateFacts, known: Known): ShownCertificate {
  const { first, host, now, inventory, served, scopes } = known
  const copied = scopes.find(({ copies }) => copies !== null && holds(copies.pem, facts))
  // An authority's certificate that a server shows is judged as a server's certificate. A copy of a
  // hardened root is judged as a root, though one of the two says that it is no CA.
  const leaf =
    copied === undefined && (!facts.ca || (first && (host !== null || facts.names !== null)))
  const { issuers, missing, scope } = climb(facts, known)
  const record =
    inventory.certificates.find(({ fingerprint }) => fingerprint === facts.fingerprint) ?? null
  const revocation =
    record === null ? null : (inventory.revocations.get(record.serialNumber) ?? null)
  const unanswered = record === null ? null : unansweredUrl(record, served)
  const around = { now, host: first ? host : null, leaf, issuers, missing, revocation, unanswered }
  return {
    facts,
    role: roleOf(facts, copied !== undefined),
    scope: copied?.name ?? scope,
    chain: missing === null ? 'complete' : missing === 'intermediate' ? 'incomplete' : 'unknown',
    record,
    revocation,
    findings: findingsOf(facts, around),
  }
}

const holds = (pem: string, { der }: CertificateFacts): boolean =>
  pemBlocks(pem).some((block) => block.der.equals(der))

function roleOf({ ca, selfSigned }: CertificateFacts, isCopy: boolean): ShownCertificate['role'] {
  if (isCopy) return 'root'
  if (!ca) return 'leaf'
  return selfSigned ? 'root' : 'intermediate'
}

interface Climbed {
  readonly issuers: readonly CertificateFacts[]
  readonly missing: 'intermediate' | 'issuer' | null
  readonly scope: string | null
}

/**
 * Finds the issuers of a certificate: among those that came with it, then the authorities of this
 * machine, then the public roots.
 */
function climb(facts: CertificateFacts, { pool, scopes }: Known): Climbed {
  const issuers: CertificateFacts[] = []
  let missing: Climbed['missing'] = null
  let current = facts
  while (!current.selfSigned && issuers.length < longestChain) {
    const certificate = new X509Certificate(current.der)
    const came = pool.find((candidate) => isAbove(candidate, certificate))
    const ours = came ?? knownAbove(scopes, certificate)
    if (ours === null) {
      if (!isPublic(certificate)) missing ??= 'issuer'
      break
    }
    if (came === undefined && !ours.selfSigned) missing = 'intermediate'
    issuers.push(ours)
    current = ours
  }
  const all = new Set([facts, ...issuers].map(({ fingerprint }) => fingerprint))
  const scope = scopes.find(({ root, intermediate }) =>
    [root, intermediate].some((own) => all.has(fingerprintOf(own.raw))),
  )
  return { issuers, missing, scope: scope?.name ?? null }
}

const isAbove = ({ ca, der }: CertificateFacts, certificate: X509Certificate): boolean =>
  ca && isIssuedBy(certificate, new X509Certificate(der))

function knownAbove(
  scopes: readonly Scope[],
  certificate: X509Certificate,
): CertificateFacts | null {
  const above = scopes
    .flatMap(({ root, intermediate }) => [intermediate, root])
    .find((candidate) => isIssuedBy(certificate, candidate))
  return above === undefined ? null : inspectCertificate(above.raw)
}

/** Whether a certificate is a root that Node trusts (Mozilla's), or was signed by one. */
export function isPublic(certificate: X509Certificate): boolean {
  publicRoots ??= rootCertificates.map((pem) => new X509Certificate(pem))
  return publicRoots.some(
    (root) => root.raw.equals(certificate.raw) || isIssuedBy(certificate, root),
  )
}
/** Parsed once: a bundle has many certificates to compare them with. */
let publicRoots: readonly X509Certificate[] | undefined
