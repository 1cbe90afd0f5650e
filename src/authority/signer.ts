import { createPrivateKey, type KeyObject } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import { damaged } from '../storage/files/scopes.ts'
import type { KeyReader } from '../storage/storage.ts'
import { signWith, type Signer } from '../x509/certificate.ts'
import { day } from '../x509/profiles.ts'
import type { AnyScope } from './scope.ts'

/**
 * Opens a scope for signing: returns its issuer, which signs with the key that is kept for it. Throws `issuer-expired`, `issuer-not-yet-valid`, `loose-key`, or `corrupt-state` when the
 * key is not the one that the scope was made with.
 */
export async function openSigner(keys: KeyReader, scope: AnyScope, now: Date): Promise<Signer> {
  const { notBefore, notAfter } = scope.validity
  if (notAfter <= now)
    throw new RootlingError(
      'issuer-expired',
      `The scope ${scope.name} ended on ${utc(notAfter)}.`,
      {
        hint: `rootling ca rotate ${scope.name}`,
      },
    )
  if (notBefore > now)
    throw new RootlingError('issuer-not-yet-valid', notYetValid(scope, now), {
      hint: 'Set the clock of this machine',
    })
  const signing = signWith(parseKey(await keys.read(scope.name, scope.keyDigest), scope.name))
  if (signing === null) throw damagedKey(scope.name)
  return { name: scope.issuerName, keyIdentifier: scope.issuerKeyIdentifier, ...signing }
}

function parseKey(pem: string, name: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (error) {
    throw damagedKey(name, error)
  }
}

const damagedKey = (name: string, cause?: unknown): RootlingError =>
  damaged(`The key of the scope ${name}`, name, cause)

function notYetValid({ name, validity }: AnyScope, now: Date): string {
  return `The scope ${name} begins on ${utc(validity.notBefore)}, and the clock here says ${utc(now)}.`
}

const utc = (date: Date): string => date.toUTCString()

/** A sentence when a scope expires within 90 days or is not valid yet; `null`: neither. */
export function expiryWarning(scope: AnyScope, now: Date): string | null {
  const { name, validity, rootNotAfter } = scope
  if (validity.notBefore > now) return notYetValid(scope, now)
  const end = Math.min(rootNotAfter.getTime(), validity.notAfter.getTime())
  const days = Math.floor((end - now.getTime()) / day)
  if (days >= 90) return null
  const when = days < 0 ? 'has ended' : `ends in ${days} days`
  return `The scope ${name} ${when}. To replace it without a gap: rootling ca rotate ${name}`
}
