import { existsSync } from '../files/exists.ts'
import { withLock } from '../files/lock.ts'
import { stat } from '../files/sync-fs.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { inJson, readInventoryOf } from '../storage/files/record.ts'
import { selfSignedScope, type CertificateRecord } from '../storage/records.ts'
import { isIssuedBy } from '../x509/parsed-certificate.ts'
import { day, parseValidity } from '../x509/profiles.ts'
import { issue, type Issued, type IssueRequest } from './issue.ts'
import { parseNames } from './names.ts'
import { fileBase, pathsOf, resolvePaths, type ResolvedPaths } from './output-files.ts'
import { keyFault, readTracked } from './renewed-files.ts'
import { chooseScope } from './scope-choice.ts'
import { isDue } from './status.ts'

/**
 * Issues a certificate as `issue` does, unless the files hold one that was issued for the same
 * request, is not due for renewal, and whose issuer still signs. Returns that one's record then. Of
 * several calls at once, only one issues. The request must name files and no certification request.
 */
export async function issueIfNeeded(
  state: StateDirectory,
  request: IssueRequest,
  now: Date,
): Promise<Issued | { readonly kept: CertificateRecord }> {
  return withLock(
    state,
    async () => {
      const kept = await keptRecord(state, request, now)
      return kept === null ? issue(state, request, now) : { kept }
    },
    { name: 'kept.lock' },
  )
}

/**
 * Returns the record of the certificate that makes a new one needless; `null`: there is none.
 * Changes nothing.
 */
export async function keptRecord(
  state: StateDirectory,
  request: IssueRequest,
  now: Date,
): Promise<CertificateRecord | null> {
  const { names, subject, purpose = 'server' } = request
  const identifiers = names.length === 0 && subject !== undefined ? [] : parseNames(names)
  const base = fileBase({ identifiers, purpose, ...(subject === undefined ? {} : { subject }) })
  const paths = await resolvePaths(base, request.files ?? {}, true, state)
  const { certificates, revocations, forgotten } = await readInventoryOf(state, [
    `"${inJson(paths.certPath)}"`,
  ])
  const record = certificates.findLast(({ certPath }) => certPath === paths.certPath)
  if (record === undefined) return null
  const { serialNumber } = record
  if (revocations.has(serialNumber) || forgotten.has(serialNumber) || isDue(record, now))
    return null
  const wanted = { ...request, purpose, identifiers }
  if (!isOfRequest(record, wanted, paths) || !pathsOf(record).every(existsSync)) return null
  const { keyPath } = record
  const gid = keyPath === null ? undefined : (await stat(keyPath)).gid
  if (request.keyOwner !== undefined && request.keyOwner.gid !== gid) return null
  const certificate = await readTracked(paths.certPath, record)
  if ('reason' in certificate || (await keyFault(certificate, record)) !== null) return null
  if (request.selfSigned === true) return record
  const scope = await chooseScope(state, wanted, now)
  const isCurrent = scope.name === record.scope && isIssuedBy(certificate, scope.intermediate)
  return isCurrent ? record : null
}

/** Whether a certificate was issued for a request like this one, into the same files. */
function isOfRequest(
  record: CertificateRecord,
  request: IssueRequest & Pick<CertificateRecord, 'identifiers'>,
  paths: ResolvedPaths,
): boolean {
  const { days, keyType = 'p256', selfSigned = false } = request
  const { notBefore, notAfter } = parseValidity(record)
  const lasted = Math.round((notAfter.getTime() - notBefore.getTime()) / day)
  return (
    namesOf(record) === namesOf(request) &&
    record.purpose === (request.purpose ?? 'server') &&
    record.subject === request.subject &&
    record.keyType === keyType &&
    record.keyMode === request.keyMode &&
    record.onRenew === request.onRenew &&
    record.onRenewSeconds === request.onRenewSeconds &&
    (record.scope === selfSignedScope) === selfSigned &&
    (days === undefined || days === lasted) &&
    pathsOf(record).toSorted().join('\0') === pathsOf(paths).toSorted().join('\0')
  )
}

/** Returns the names as a text that is the same for the same names in any order. */
const namesOf = ({ identifiers }: Pick<CertificateRecord, 'identifiers'>): string =>
  identifiers
    .map(({ type, value }) => `${type}:${value}`)
    .toSorted()
    .join('\0')
