import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { requireScope, type Scope } from '../authority/scope.ts'
import { openSigner } from '../authority/signer.ts'
import { RootlingError } from '../errors.ts'
import { writeFileAtomic } from '../files/atomic.ts'
import { readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { shellWord } from '../shell-word.ts'
import { exclusively } from '../storage/files/pending.ts'
import { readInventory } from '../storage/files/record.ts'
import { scopePath } from '../storage/files/scopes.ts'
import type { Inventory } from '../storage/records.ts'
import { signCrl, type RevokedCertificate } from '../x509/crl.ts'
import { day } from '../x509/profiles.ts'

/** From thisUpdate to nextUpdate, in milliseconds. */
const crlLifetime = 7 * day

/**
 * A scope's CRL (RFC 5280 §5), DER, with a number above that of every one before. Throws
 * `no-scope`, and what `openSigner` throws.
 */
export async function makeCrl(
  state: StateDirectory,
  scopeName: string,
  now: Date,
): Promise<Buffer> {
  return exclusively(state, async () => {
    const scope = await existingScope(state, scopeName)
    const signer = await openSigner(state, scope, now)
    const revoked = revokedIn(await readInventory(state), scopeName, now)
    const crlNumber = await nextCrlNumber(state, scopeName, now)
    const nextUpdate = new Date(now.getTime() + crlLifetime)
    return signCrl({ thisUpdate: now, nextUpdate, crlNumber }, revoked, signer)
  })
}

/** Those that have expired stay for one more CRL's lifetime (RFC 5280 §3.3). */
function revokedIn(
  { certificates, revocations }: Inventory,
  scopeName: string,
  now: Date,
): RevokedCertificate[] {
  return certificates.flatMap(({ scope, serialNumber, notAfter }) => {
    const revocation = revocations.get(serialNumber)
    const gone = Date.parse(notAfter) + crlLifetime < now.getTime()
    if (revocation === undefined || scope !== scopeName || gone) return []
    const { reason, revokedAt } = revocation
    return {
      serialNumber: Buffer.from(serialNumber, 'hex'),
      revocationDate: new Date(revokedAt),
      reason,
    }
  })
}

/**
 * Stored before it is used, so that no two CRLs share one, whatever is killed. Never below the
 * clock's seconds: a scope restored from a backup must not begin again at an old number.
 */
async function nextCrlNumber(state: StateDirectory, scope: string, now: Date): Promise<number> {
  const path = join(scopePath(state, scope), 'crl-number')
  const text = (await readText(path, 64)) ?? '0\n'
  if (!/^\d{1,15}\n$/.test(text))
    throw new RootlingError('corrupt-state', `${path} is damaged.`, {
      hint: `Numbers go on from the clock without it: rm ${shellWord(path)}`,
    })
  const next = Math.max(Number(text) + 1, Math.floor(now.getTime() / 1000))
  await writeFileAtomic(path, { data: `${next}\n`, mode: 0o644 }, state.owner)
  return next
}

/** The one CRL that a scope's root signed before its key was dropped, DER; it is empty. */
export async function readRootCrl(state: StateDirectory, scopeName: string): Promise<Buffer> {
  const scope = await existingScope(state, scopeName)
  const path = join(scopePath(state, scopeName), 'root.crl')
  if (scope.direct)
    throw new RootlingError('usage', `The root of ${scopeName} signs leaves, and their CRL too.`, {
      hint: `rootling crl --scope ${scopeName}`,
    })
  try {
    return await readFile(path)
  } catch (error) {
    throw new RootlingError('corrupt-state', `${path} cannot be read.`, {
      hint: 'Restore it from a backup',
      cause: error,
    })
  }
}

const existingScope = (state: StateDirectory, name: string): Promise<Scope> =>
  requireScope(state, name, (names) => `The scopes are: ${names.join(', ')}`)
