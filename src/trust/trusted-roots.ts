import { createAnchor, certificatesIn } from '../../platform/pem.ts'
import type { TrustAnchor } from '../../platform/trust-store.ts'
import { readScopes, readScopesInRotation } from '../authority/scope.ts'
import { RootlingError, UnknownName } from '../errors.ts'
import {
  forgetTrusted,
  readTrustedRoots,
  type TrustedRoot,
} from '../storage/files/trusted-roots.ts'
import { anchorOf, openStores, type StoreChange, type StoreOptions } from './machine-stores.ts'
import { findStaleRoots, type StaleRoot } from './stale-roots.ts'
import { allWell, findInstalledAnchors, trustStatus } from './stores.ts'
import { fingerprintText } from '../x509/parsed-certificate.ts'
import { removeAnchors } from './uninstall.ts'
import type { TrustWorld } from './world.ts'

export interface TrustedNow extends Omit<TrustedRoot, 'pem'> {
  /** The titles of the stores that trust it now. */
  readonly trustedBy: readonly string[]
}

/** Returns the recorded roots of other authorities, and which stores trust each now. */
export async function trustOfOthers(
  world: TrustWorld,
  options: StoreOptions = {},
): Promise<TrustedNow[]> {
  const roots = await readTrustedRoots(world.state)
  if (roots.length === 0) return []
  const { stores } = await openStores(world, options, [])
  const anchors = roots.map(anchorOfRoot)
  const outcomes = await trustStatus(stores, anchors)
  return roots.map(({ pem: _pem, ...root }, index) => ({
    ...root,
    trustedBy: outcomes
      .filter(({ anchor, outcome }) => anchor === anchors[index]?.name && outcome === 'trusted')
      .map(({ store }) => store.title),
  }))
}

/** Finds the roots in the selected stores that no authority here has. Changes nothing. */
export async function staleRootsOf(
  world: TrustWorld,
  options: StoreOptions = {},
): Promise<StaleRoot[]> {
  const { stores } = await openStores(world, options, [])
  return findStaleRoots(world.state, stores)
}

const anchorOfRoot = ({ pem }: TrustedRoot): TrustAnchor =>
  createAnchor(certificatesIn(pem)[0] ?? Buffer.from(pem))

interface Candidate {
  /** `null`: `trust` of an older version recorded nothing. */
  readonly label: string | null
  readonly anchor: TrustAnchor
}

export interface Untrusted extends StoreChange {
  readonly label: string | null
  readonly fingerprint: string
}

/**
 * Takes a root of another authority out of the stores, and forgets it once none of them holds it.
 * `wanted` is its label, its name in the stores, or its fingerprint or the beginning of that.
 * Throws `usage` where that means no such root, several, or one of this authority.
 */
export async function untrustRoot(
  world: TrustWorld,
  options: StoreOptions,
  wanted: string,
): Promise<Untrusted> {
  const { state } = world
  const found = await openStores(world, options, [])
  const recorded = (await readTrustedRoots(state)).map((root): Candidate => ({
    label: root.label,
    anchor: anchorOfRoot(root),
  }))
  const isRecorded = ({ fingerprint }: TrustAnchor): boolean =>
    recorded.some(({ anchor }) => anchor.fingerprint === fingerprint)
  const held = (await findInstalledAnchors(found.stores)).filter((each) => !isRecorded(each))
  const own = [...(await readScopes(state)), ...(await readScopesInRotation(state))].map(anchorOf)
  const ownPrints = new Set(own.map(({ fingerprint }) => fingerprint))
  const candidates = [...recorded, ...held.map((anchor) => ({ label: null, anchor }))]
  const { label, anchor } = choose(candidates, wanted)
  if (ownPrints.has(anchor.fingerprint))
    throw new RootlingError('usage', `${wanted} is a root of your own authority.`, {
      hint: 'rootling uninstall',
    })
  const change = await removeAnchors(world, found, [anchor])
  const isGone =
    change.plannedCommands === null && options.kinds === undefined && allWell(change.outcomes)
  if (isGone) await forgetTrusted(state, [anchor.fingerprint])
  return { ...change, label, fingerprint: anchor.fingerprint }
}

function choose(candidates: readonly Candidate[], wanted: string): Candidate {
  const digits = wanted.replace(/[:\s]/g, '').toLowerCase()
  const isPrint = /^[0-9a-f]{8,64}$/.test(digits)
  const matching = candidates.filter(
    ({ label, anchor }) =>
      label === wanted ||
      anchor.name === wanted ||
      (isPrint && anchor.fingerprint.startsWith(digits)),
  )
  const [only] = matching
  if (only !== undefined && matching.length === 1) return only
  if (only === undefined)
    throw new UnknownName('usage', `No root of another authority is known as ${wanted}.`, {
      hint: 'rootling ca list',
    })
  const prints = matching.map(({ anchor }) => fingerprintText(anchor.fingerprint))
  throw new RootlingError('usage', `${wanted} means several roots: ${prints.join(', ')}.`, {
    hint: `Name one by its fingerprint: rootling untrust ${prints[0]}`,
  })
}
