import { X509Certificate } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import { readDer } from '../x509/asn1-reader.ts'
import { isSameKey } from '../x509/keys.ts'
import type { RevocationReason } from '../x509/revocation.ts'
import type { AcmeContext, Signed, SignedByAccount, Step } from './context.ts'
import type { AccountKey } from './keys.ts'
import { keyOfAccount } from './eab-keys.ts'
import { octets } from './payload.ts'
import { AcmeProblem, malformed, notFound, unauthorized } from './problems.ts'
import { authorizationStatus, type Account, type StoredCertificate } from './resources.ts'
import type { Unit } from './store/contract.ts'

/**
 * The reasons by number (RFC 5280 §5.3.1). certificateHold is left out: no ACME request could end
 * it.
 */
const reasons: ReadonlyMap<unknown, RevocationReason> = new Map([
  [0, 'unspecified'],
  [1, 'keyCompromise'],
  [3, 'affiliationChanged'],
  [4, 'superseded'],
  [5, 'cessationOfOperation'],
  [9, 'privilegeWithdrawn'],
])

/**
 * Revokes a certificate (RFC 8555 §7.6) for the account that ordered it, or for an account with
 * valid authorizations for all of its names.
 */
export function revokeByAccount(context: AcmeContext, request: SignedByAccount): Step {
  return revokeCertificate(context, request, { account: request.account })
}

/** Revokes a certificate for its own key (RFC 8555 §7.6). */
export function revokeByKey(context: AcmeContext, request: Signed, jwk: AccountKey): Step {
  return revokeCertificate(context, request, { jwk })
}

function revokeCertificate(
  context: AcmeContext,
  { payload }: Signed,
  signer: { readonly account: Account } | { readonly jwk: AccountKey },
): Step {
  if (payload === null) throw malformed('The payload names no certificate.')
  const der = octets(payload, 'certificate')
  const certificate = parse(der)
  const code = payload['reason']
  const reason = code === undefined ? 'unspecified' : reasons.get(code)
  return (unit) => {
    const ours = unit.certificateBySerialNumber(certificate.serialNumber.toLowerCase())
    const stored =
      ours !== undefined && new X509Certificate(ours.leaf).raw.equals(der) ? ours : undefined
    if ('jwk' in signer) {
      if (!isSameKey(certificate.publicKey, signer.jwk.publicKey))
        throw unauthorized(
          'The request is signed by a key that is neither an account nor the key of the certificate.',
        )
    } else if (stored === undefined)
      throw notFound('This certificate was not issued by ACME here; its own key may revoke it.')
    else if (!mayRevoke(context, unit, signer.account, stored))
      throw unauthorized(
        'This account neither ordered the certificate nor is authorized for all of its names.',
      )
    if (reason === undefined)
      throw new AcmeProblem(
        'badRevocationReason',
        `The reason has to be one of ${[...reasons.keys()].join(', ')}.`,
      )
    return async () => {
      if (!(await revoke(context, der, reason)))
        throw new AcmeProblem('alreadyRevoked', 'The certificate was revoked before.')
      return { status: 200 }
    }
  }
}

/** Returns the serial number in a payload, unverified; `undefined`: it has no certificate. */
export function serialNumberIn(payload: Readonly<Record<string, unknown>>): string | undefined {
  try {
    return parse(octets(payload, 'certificate')).serialNumber.toLowerCase()
  } catch {
    return undefined
  }
}

function parse(der: Buffer): X509Certificate {
  try {
    readDer(der, 'The certificate', { bytes: 0x1_0000 })
    return new X509Certificate(der)
  } catch (error) {
    throw malformed('The certificate is not one in DER.', { cause: error })
  }
}

function mayRevoke(
  { now }: AcmeContext,
  unit: Unit,
  account: Account,
  { accountId, identifiers }: StoredCertificate,
): boolean {
  if (accountId === account.id) return true
  keyOfAccount(unit, account, now())
  const valid = new Set<string>()
  for (const id of unit.ordersOf(account.id).flatMap((order) => order.authorizationIds)) {
    const authorization = unit.get('authorization', id)
    if (authorization === undefined) continue
    if (authorizationStatus(authorization, now().getTime()) !== 'valid') continue
    const { identifier, wildcard } = authorization
    valid.add(`${identifier.type}:${wildcard ? '*.' : ''}${identifier.value}`)
  }
  return identifiers.every(({ type, value }) => valid.has(`${type}:${value}`))
}

async function revoke(
  { authority }: AcmeContext,
  der: Buffer,
  reason: RevocationReason,
): Promise<boolean> {
  try {
    return await authority.revoke(der, reason)
  } catch (error) {
    if (error instanceof RootlingError && error.code === 'usage')
      throw notFound('This certificate was not issued here.')
    throw error
  }
}
