import { createAnchor } from '../../platform/pem.ts'
import { readRoot } from '../authority/adopt.ts'
import { RootlingError } from '../errors.ts'
import { nameConstraintsOf, readCertificateParts } from '../x509/certificate-reader.ts'
import type { NameConstraints } from '../x509/name-constraints.ts'
import { fingerprintOf } from '../x509/parsed-certificate.ts'
import { equipStores } from './equip.ts'
import {
  openStores,
  withStoresLock,
  type StoreChange,
  type StoreOptions,
} from './machine-stores.ts'
import { installAnchors } from './stores.ts'
import { confirmOrCancel, type TrustWorld } from './world.ts'

export interface ForeignRoot {
  /** The certificate, PEM or DER. */
  readonly contents: Buffer
  /** The file or URL that the certificate came from, for sentences. */
  readonly source: string
  /**
   * The expected SHA-256 of the DER, in hex, with or without colons. When absent, the person is
   * asked whether the fingerprint is right.
   */
  readonly fingerprint?: string | undefined
}

export interface ForeignRootInstallation extends StoreChange {
  readonly fingerprint: string
  /** The names that the root may sign; `null`: any name. */
  readonly constraints: NameConstraints | null
}

/**
 * Installs the public root of another authority after checking its fingerprint, or after the person
 * has confirmed it. Throws `bad-certificate`, `usage`, `not-trusted` (the root has another
 * fingerprint) and `cancelled`. A store that fails does not throw: its outcome says `failed`.
 */
export async function trustForeignRoot(
  world: TrustWorld,
  options: StoreOptions,
  { contents, source, fingerprint: expected }: ForeignRoot,
): Promise<ForeignRootInstallation> {
  const root = readRoot(contents, source, world.now())
  const fingerprint = fingerprintOf(root)
  const constraints = nameConstraintsOf(readCertificateParts(root.raw))
  world.report({ type: 'foreign-root', subject: root.subject, constraints })
  if (expected === undefined)
    await confirmOrCancel(world, { type: 'trust-foreign-root', fingerprint })
  else checkFingerprint(fingerprint, expected)
  const found = await openStores(world, options, [])
  const { dryRun, planned } = found.machine
  const install = async () =>
    installAnchors(await equipStores(found, world), [createAnchor(root.raw)], { dryRun })
  const outcomes = dryRun ? await install() : await withStoresLock(world.state, install)
  return { fingerprint, constraints, outcomes, plannedCommands: dryRun ? planned : null }
}

function checkFingerprint(actual: string, expected: string): void {
  const digits = expected.replace(/[:\s]/g, '').toLowerCase()
  if (!/^[0-9a-f]{64}$/.test(digits))
    throw new RootlingError('usage', `--fingerprint ${expected} is not a SHA-256 in hex.`, {
      hint: 'It has 64 digits',
    })
  if (digits !== actual)
    throw new RootlingError('not-trusted', `The fingerprint is ${actual}, not the one you gave.`, {
      hint: 'Do not trust it: ask your teammate again over a channel you trust',
    })
}
