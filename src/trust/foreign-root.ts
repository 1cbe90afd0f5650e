import { createHash, type X509Certificate } from 'node:crypto'
import { createAnchor } from '../../platform/pem.ts'
import {
  storeKinds,
  type StoreKind,
  type TrustAnchor,
  type TrustStore,
} from '../../platform/trust-store.ts'
import { readRoot } from '../authority/adopt.ts'
import { isTrusted, readScopes, readScopesInRotation } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import { shellWord } from '../shell-word.ts'
import { recordTrusted, type TrustedRoot } from '../storage/files/trusted-roots.ts'
import { otherAuthorities } from '../storage/files/state-layout.ts'
import { nameConstraintsOf, readCertificateParts } from '../x509/certificate-reader.ts'
import { limitsOf, whyUncritical, type ServerNameType } from '../x509/free-types.ts'
import { certificatesIn, inspectCertificate } from '../x509/inspect.ts'
import { isSameKey } from '../x509/keys.ts'
import type { NameConstraints } from '../x509/name-constraints.ts'
import { fingerprintOf, fingerprintText } from '../x509/parsed-certificate.ts'
import { installBesideJava } from './beside-java.ts'
import { equipStores } from './equip.ts'
import {
  openStores,
  withStoresLock,
  type MachineStores,
  type StoreChange,
  type StoreOptions,
} from './machine-stores.ts'
import { installAnchors, type StoreOutcome } from './stores.ts'
import { confirmOrCancel, type TrustWorld } from './world.ts'

export interface ForeignRoot {
  /** The certificate, PEM or DER. */
  readonly contents: Buffer
  /** The file or URL that the certificate came from, for sentences. */
  readonly source: string
  /** Where the file or URL is, to be recorded; default: `source`. */
  readonly from?: string | undefined
  /** What it is recorded as; default: its common name. */
  readonly label?: string | undefined
  /**
   * The expected SHA-256 of the DER, in hex, with or without colons. When absent, the person is
   * asked whether the fingerprint is right.
   */
  readonly fingerprint?: string | undefined
  /** Whether a root may be trusted that can sign any host name or any IP address. */
  readonly unconstrained?: boolean | undefined
}

export interface ForeignRootInstallation extends StoreChange {
  /** What `untrust` takes it out by. */
  readonly label: string
  readonly fingerprint: string
  /** The host names and addresses that the root permits; `null`: it has no nameConstraints. */
  readonly constraints: NameConstraints | null
  /** The types of names for which the root is unconstrained: all, where its constraints are not critical. */
  readonly unconstrained: readonly ServerNameType[]
}

/**
 * Installs the public root of another authority after checking its fingerprint, or after the person
 * has confirmed it, which a dry run does not ask for. Java's stores are left out unless `options.kinds` names them. Throws
 * `bad-certificate`, `bad-der`, `usage` (also for an unconstrained root that was not accepted), `not-trusted` (the root has another fingerprint) and `cancelled`. A
 * store that fails does not throw: its outcome says `failed`.
 */
export async function trustForeignRoot(
  world: TrustWorld,
  options: StoreOptions,
  given: ForeignRoot,
): Promise<ForeignRootInstallation> {
  const { contents, source, fingerprint: expected, unconstrained: accepted = false } = given
  const root = readRoot(chosenFrom(contents, expected), source, world.now())
  const fingerprint = fingerprintOf(root)
  await refusePrivate(world, root, source)
  const { subject } = inspectCertificate(root.raw)
  const constraints = nameConstraintsOf(readCertificateParts(root.raw))
  const { constraints: limits, free: unconstrained, uncritical } = limitsOf(root.raw)
  world.report({
    type: 'foreign-root',
    subject,
    constraints: limits,
    uncritical,
    java: namesJava(options),
  })
  if (expected !== undefined) checkFingerprint(fingerprint, expected)
  if (unconstrained.length > 0 && !accepted)
    throw new RootlingError(
      'usage',
      uncritical
        ? `${source} was not trusted: it is unconstrained, since ${whyUncritical}.`
        : `${source} is unconstrained, so it was not trusted.`,
      {
        hint: 'Ask for a root with name constraints, or trust it all the same: add --unconstrained',
      },
    )
  if (expected === undefined && options.dryRun !== true)
    await confirmOrCancel(world, { type: 'trust-foreign-root', fingerprint })
  const anchor = createAnchor(root.raw)
  const label = given.label ?? /^CN=(.*)$/m.exec(root.subject)?.[1] ?? anchor.name
  const trusted = world.now().toISOString()
  const record = { label, source: given.from ?? source, fingerprint, trusted, pem: anchor.pem }
  const change = await install(world, options, anchor, record)
  return { label, fingerprint, constraints, unconstrained, ...change }
}

/**
 * Throws `usage` for a root that an authority in or beside the state directory made for programs
 * without a trust store, also if a rotation is about to replace it, and for one that is hardened:
 * where the system store holds it itself, programs on OpenSSL ignore the copies.
 */
async function refusePrivate(
  { state }: TrustWorld,
  root: X509Certificate,
  source: string,
): Promise<void> {
  const scopes = [...(await readScopes(state)), ...(await readScopesInRotation(state))]
  // Damage in another authority is reported by the commands for that.
  for (const other of await otherAuthorities(state))
    scopes.push(
      ...(await readScopes(other).catch(() => [])),
      ...(await readScopesInRotation(other)),
    )
  const hardened = scopes.find(
    (each) => each.copies !== null && isSameKey(each.root.publicKey, root.publicKey),
  )
  if (hardened !== undefined)
    throw new RootlingError(
      'usage',
      `${source} is the root of the hardened scope ${hardened.name} of this machine, whose system store holds copies of it.`,
      { hint: 'rootling install' },
    )
  const scope = scopes.find((each) => each.root.raw.equals(root.raw))
  if (scope === undefined || isTrusted(scope)) return
  throw new RootlingError(
    'usage',
    `${source} is the root of the private scope ${scope.name}, which no trust store should hold.`,
    { hint: `Give its file to the programs that need it: ${shellWord(scope.rootPath)}` },
  )
}

/** Installs the root in the selected stores, in Java's only when they were named. */
async function install(
  world: TrustWorld,
  options: StoreOptions,
  anchor: TrustAnchor,
  record: TrustedRoot,
): Promise<StoreChange> {
  // Java's stores are looked at in any case, because a change of the system store can change them.
  const kinds: readonly StoreKind[] = [...(options.kinds ?? storeKinds), 'java']
  const found = await openStores(world, { ...options, kinds }, [])
  const { dryRun, planned } = found.machine
  const java = namesJava(options) ? [] : found.stores.filter(isJava)
  const chosen = (stores: readonly TrustStore[]) =>
    stores.filter((store) => namesJava(options) || !isJava(store))
  const others: MachineStores = {
    ...found,
    stores: chosen(found.stores),
    findAgain: async () => chosen(await found.findAgain()),
  }
  const work = () =>
    installBesideJava(java, anchor, async () =>
      installAnchors(await equipStores(others, world), [anchor], { dryRun }),
    )
  const isHeld = ({ outcome }: StoreOutcome): boolean =>
    outcome === 'installed' || outcome === 'already-installed'
  const outcomes = dryRun
    ? await work()
    : await withStoresLock(world.state, async () => {
        const done = await work()
        if (done.some(isHeld)) await recordTrusted(world.state, record)
        return done
      })
  return { outcomes, plannedCommands: dryRun ? planned : null }
}

const namesJava = ({ kinds = [] }: StoreOptions): boolean => kinds.includes('java')
const isJava = ({ kind }: TrustStore): boolean => kind === 'java'

/**
 * Returns the certificate with a fingerprint where it is one of several, as those of a team's server
 * while its authority is rotated; else the contents.
 */
function chosenFrom(contents: Buffer, expected: string | undefined): Buffer {
  const digits = expected?.replace(/[:\s]/g, '').toLowerCase()
  if (digits === undefined || !contents.includes('-----BEGIN')) return contents
  const wanted = (der: Buffer): boolean => createHash('sha256').update(der).digest('hex') === digits
  return certificatesIn(contents, 'The file').find(wanted) ?? contents
}

function checkFingerprint(actual: string, expected: string): void {
  const digits = expected.replace(/[:\s]/g, '').toLowerCase()
  if (!/^[0-9a-f]{64}$/.test(digits))
    throw new RootlingError('usage', `--fingerprint ${expected} is not a SHA-256 in hex.`, {
      hint: 'It has 64 digits',
    })
  const text = fingerprintText(actual)
  if (digits !== actual)
    throw new RootlingError('not-trusted', `The fingerprint is ${text}, not the one you gave.`, {
      hint: 'Do not trust it: ask your teammate again over a channel you trust',
    })
}
