import { X509Certificate } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import { forgottenRevocations } from '../storage/postgres/restored.ts'
import type { Database } from '../storage/postgres/database.ts'
import { bare } from '../storage/records.ts'
import type { Storage } from '../storage/storage.ts'
import { inspectCrl, type CrlFacts } from '../x509/crl-reader.ts'
import { pemBlocks } from '../x509/pem.ts'
import { day, maximumDays } from '../x509/profiles.ts'
import { readPublicKey } from '../x509/public-key.ts'
import { revocationReasons, type Revocation } from '../x509/revocation.ts'
import { isSignedWith } from '../x509/signature.ts'

/** What a kept CRL says beyond a restored database. */
export interface RestoredCheck {
  /** The scope whose issuer signed the CRL. */
  readonly scope: string
  /** Decimal. */
  readonly crlNumber: string
  readonly thisUpdate: Date
  /** What the CRL lists and the database does not know as revoked. */
  readonly forgotten: readonly Revocation[]
}

/**
 * Compares a restored database with a kept CRL (DER or PEM, at most 1 MiB). The signature is verified
 * first. Among the forgotten ones may be a hold that was released since the CRL was made. Throws
 * `bad-der`, `not-ours` for a CRL that no authority of the database signed, and `database-away`.
 */
export async function checkRestored(storage: Storage, contents: Buffer): Promise<RestoredCheck> {
  const der = derOf(contents)
  const facts = inspectCrl(der)
  const scope = await signerOf(storage, facts)
  const { crlNumber } = facts
  if (scope === null || crlNumber === null)
    throw new RootlingError(
      'not-ours',
      `No authority in ${storage.place} signed this CRL, whose issuer is ${facts.issuer}.`,
      { hint: 'Name the file that the server gave: curl -O http://ca.team.internal/team.crl' },
    )
  const forgotten = new Set(await forgottenRevocations(storage, der))
  return {
    scope,
    crlNumber,
    thisUpdate: facts.thisUpdate,
    forgotten: facts.revoked
      .filter(({ serialNumber }) => forgotten.has(serialNumber))
      .map(({ serialNumber, reason, revocationDate }) => ({
        serialNumber,
        reason: revocationReasons.find((one) => one === reason) ?? 'unspecified',
        revokedAt: revocationDate.toISOString(),
      })),
  }
}

function derOf(contents: Buffer): Buffer {
  if (!contents.subarray(0, 1024).includes('-----BEGIN')) return contents
  const block = pemBlocks(contents.toString('latin1')).find(({ label }) => label === 'X509 CRL')
  if (block !== undefined) return block.der
  throw new RootlingError('bad-der', 'The file holds no PEM block named X509 CRL.', {
    hint: 'Name a CRL, DER or PEM',
  })
}

/** Returns the scope whose issuer, now or before a rotation, signed a CRL; `null`: none did. */
async function signerOf({ scopes }: Storage, { signed }: CrlFacts): Promise<string | null> {
  const halves = [
    ...(await scopes.names()).map((name) => ({ name, part: undefined })),
    ...(await scopes.parts()),
  ]
  for (const { name, part } of halves) {
    const { intermediate } = await scopes.read(name, part)
    const { publicKey } = new X509Certificate(intermediate)
    const spki = publicKey.export({ type: 'spki', format: 'der' })
    if (isSignedWith(readPublicKey(spki, 'The issuer’s key'), signed, 'The CRL')) return name
  }
  return null
}

/**
 * Revokes again what `checkRestored` found, in one step, and lifts the number of the next CRL above that
 * of the kept one. A certificate that was issued after the backup too is recorded by its serial number
 * alone, so that the CRL lists it until it has surely ended. The role must own the schema. Throws
 * `usage` for another role, and `database-away`.
 */
export async function revokeForgotten(
  database: Database,
  storage: Storage,
  { scope, crlNumber, thisUpdate, forgotten }: RestoredCheck,
): Promise<void> {
  try {
    await storage.change(async (change) => {
      await database.query("SELECT set_config('rootling.actor', $1, true)", [
        `restored from CRL ${crlNumber}`,
      ])
      await database.query(
        `INSERT INTO rootling.crl_number AS c VALUES ($1, $2, $3)
         ON CONFLICT (scope) DO UPDATE SET number = greatest(c.number, excluded.number)`,
        [scope, crlNumber, thisUpdate.toISOString()],
      )
      for (const revocation of forgotten) {
        await recordSerial(database, scope, revocation)
        await change.revoked(revocation)
      }
    })
  } catch (error) {
    if ((error as { code?: unknown }).code !== '42501') throw error
    throw new RootlingError('usage', `This role may not restore ${database.place}.`, {
      hint: 'Name the URL of the owner: rootling server restored --database URL-OF-THE-OWNER',
      cause: error,
    })
  }
}

/** Records a certificate of which the serial number alone is known, unless it is on record. */
async function recordSerial(
  database: Database,
  scope: string,
  { serialNumber, revokedAt }: Revocation,
): Promise<void> {
  // No certificate is valid for longer than this after it was issued.
  const notAfter = new Date(Date.parse(revokedAt) + maximumDays * day).toISOString()
  const facts = {
    serialNumber,
    scope,
    identifiers: [],
    subject: 'CN=lost with the database',
    notBefore: revokedAt,
    notAfter,
    keyType: 'unknown',
    purpose: 'server',
    fingerprint: `unknown ${serialNumber}`,
    certPath: null,
    keyPath: null,
  }
  await database.query(
    `INSERT INTO rootling.certificate (serial, fingerprint, scope, not_after, path, facts)
     VALUES ($1, $2, $3, $4, NULL, $5) ON CONFLICT DO NOTHING`,
    [bare(serialNumber), facts.fingerprint, scope, notAfter, JSON.stringify(facts)],
  )
}
