import { makeScope } from '../authority/ceremony.ts'
import { scopesIn, type AnyScope } from '../authority/scope.ts'
import { openSigner } from '../authority/signer.ts'
import { signLeaf } from '../certificates/leaf.ts'
import { revoke } from '../certificates/revoke.ts'
import { RootlingError } from '../errors.ts'
import type { Database } from '../storage/postgres/database.ts'
import type { CertificateRecord } from '../storage/records.ts'
import type { Storage } from '../storage/storage.ts'
import { readRequest } from '../x509/request.ts'
import type { Revocation } from '../x509/revocation.ts'
import type { Administrator } from './admin-requests.ts'
import { readAdministrator } from './administrators.ts'
import { publishedRoots } from './retired.ts'

/**
 * The scope that signs the client certificates of administrators: its root is for their servers alone,
 * and its intermediate signs nothing else. That of the team, which ACME uses, signs server certificates
 * alone. It comes behind the team's in the order of scopes.
 */
const scopeName = 'team-admins'

/** In days. An administrator who is still one is given another. */
const lifetime = 30

/** The most certificates of a list. */
const mostListed = 1_000

/** What the certificates of administrators are kept in. */
export interface AdminCertificatesOptions {
  readonly database: Database
  readonly storage: Storage
  readonly now: () => Date
}

export interface CreatedAdminCertificate {
  /** PEM: the leaf, then the intermediate. */
  readonly certificate: string
  readonly serialNumber: string
  /** ISO 8601, UTC. */
  readonly notAfter: string
  /** The roots of the team, PEM, by which an administrator knows its servers. */
  readonly roots: string
}

export interface ListedAdminCertificate extends Pick<
  CertificateRecord,
  'serialNumber' | 'fingerprint' | 'notBefore' | 'notAfter'
> {
  readonly names: readonly string[]
  readonly revocation: Revocation | null
}

/** Returns the scope that signs for administrators, and makes it where there is none. */
export async function ensureAdminScope(storage: Storage, now: Date): Promise<AnyScope> {
  const find = async (stored: Pick<Storage, 'scopes' | 'place'>): Promise<AnyScope | undefined> =>
    (await scopesIn(stored)).find(({ name, use }) => name === scopeName && use === 'clients')
  return (
    (await find(storage)) ??
    storage.change(async (change) => {
      const stored = { ...storage, ...change }
      const existing = await find(stored)
      if (existing !== undefined) return existing
      const plan = { name: scopeName, use: 'clients', permitted: [], constraints: null } as const
      const { intermediateKey, ...scope } = await makeScope(plan, now)
      await change.createScope(scope, intermediateKey)
      const made = await find(stored)
      if (made === undefined) throw new TypeError('the scope was created in this change')
      return made
    })
  )
}

/**
 * Signs a client certificate for 30 days with the key of a certification request (PEM), whose own names
 * do not count. The audit names who asked for it. Throws `usage` for the name, and what `readRequest`
 * throws.
 */
export async function createAdminCertificate(
  { database, storage, now }: AdminCertificatesOptions,
  { name, csr }: { readonly name: string; readonly csr: string },
  by: Administrator,
): Promise<CreatedAdminCertificate> {
  const identifier = readAdministrator(name)
  const { spki, keyType } = readRequest(csr)
  const scope = await ensureAdminScope(storage, now())
  const signer = await openSigner(storage.keys, scope, now())
  const request = { identifiers: [identifier], purpose: 'client', spki, keyType, lifetime } as const
  const { facts, chain } = await signLeaf(request, scope, signer, now())
  await asActor(database, by, () =>
    storage.change((change) => change.issued([{ ...facts, certPath: null, keyPath: null }])),
  )
  const { serialNumber, notAfter } = facts
  return { certificate: chain, serialNumber, notAfter, roots: await publishedRoots(storage) }
}

/** Returns the certificates of administrators that have not ended, oldest first, at most 1,000. */
export async function listAdminCertificates({
  database,
  now,
}: AdminCertificatesOptions): Promise<readonly ListedAdminCertificate[]> {
  const rows = await database.query(
    `SELECT c.facts, r.facts AS revocation
     FROM rootling.certificate c LEFT JOIN rootling.revocation r USING (serial)
     WHERE c.scope = $1 AND c.not_after >= $2 ORDER BY c.n LIMIT ${mostListed}`,
    [scopeName, now().toISOString()],
  )
  return rows.map((row) => {
    const { serialNumber, fingerprint, notBefore, notAfter, identifiers } = row[
      'facts'
    ] as CertificateRecord
    const names = identifiers.map(({ value }) => value)
    const revocation = row['revocation'] as Revocation | null
    return { serialNumber, names, fingerprint, notBefore, notAfter, revocation }
  })
}

/**
 * Revokes a certificate of an administrator by its serial number; `false`: it was revoked before. Throws
 * `usage` where no administrator has such a one.
 */
export async function revokeAdminCertificate(
  { database, storage, now }: AdminCertificatesOptions,
  serialNumber: string,
  by: Administrator,
): Promise<boolean> {
  const entry = await storage.certificates.find(serialNumber.toLowerCase())
  if (entry?.certificate.scope !== scopeName)
    throw new RootlingError('usage', `No administrator has a certificate ${serialNumber}.`, {
      hint: 'rootling server admin-cert list',
    })
  const target = entry.certificate.serialNumber
  const { changed } = await asActor(database, by, () => revoke(storage, { target, now: now() }))
  return changed
}

/** Runs a change whose rows of the audit name who asked for it. */
const asActor = <T>(
  database: Database,
  { actor }: Administrator,
  work: () => Promise<T>,
): Promise<T> =>
  database.transaction(async () => {
    await database.query("SELECT set_config('rootling.actor', $1, true)", [actor])
    return work()
  })
