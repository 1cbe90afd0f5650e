import { createAnchor } from '../../platform/pem.ts'
import type { TrustAnchor } from '../../platform/trust-store.ts'
import { readTrustedScopes } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import type { Owner } from '../files/owner.ts'
import { anchorOf, chosenKinds, openStores, type StoreOptions } from '../trust/machine-stores.ts'
import { lackingAnchors } from '../trust/stores.ts'
import { lackingSince } from '../trust/unchanged-stores.ts'
import type { TrustWorld } from '../trust/world.ts'
import type { Project } from './find.ts'
import type { Wanted } from './read.ts'
import type { ProjectRecord } from './record.ts'
import type { PlannedStep, ProxyAccess, Work } from './step.ts'
import { planAuthority } from './steps/authority.ts'
import { planIgnore } from './steps/ignore.ts'

type Plan = (work: Work) => Promise<PlannedStep[]>
type Asked = Pick<Work, 'wanted' | 'recorded'>

/**
 * The kinds of steps, in the order in which they are done: a key is ignored before it is written,
 * and a scope is there before it signs. What a file does not ask for is not loaded.
 */
const kinds: readonly {
  readonly isAsked: (asked: Asked) => boolean
  readonly load: () => Promise<Plan>
}[] = [
  { isAsked: () => true, load: async () => planIgnore },
  { isAsked: () => true, load: async () => planAuthority },
  {
    isAsked: ({ wanted }) => wanted.permit.length > 0,
    load: async () => (await import('./steps/permit.ts')).planPermit,
  },
  {
    isAsked: ({ wanted }) => wanted.trust.length > 0,
    load: async () => (await import('./steps/trust.ts')).planTrust,
  },
  {
    isAsked: ({ wanted }) => wanted.certificates.length > 0,
    load: async () => (await import('./steps/certificates.ts')).planCertificates,
  },
  {
    isAsked: ({ wanted, recorded }) =>
      wanted.hosts.size > 0 || recorded?.done.some(({ kind }) => kind === 'hosts') === true,
    load: async () => (await import('./steps/hosts.ts')).planHostsLines,
  },
  {
    isAsked: ({ wanted }) => wanted.env !== null,
    load: async () => (await import('./steps/env.ts')).planEnv,
  },
  {
    isAsked: ({ wanted, recorded }) =>
      wanted.proxy.size > 0 || recorded?.done.some(({ kind }) => kind === 'proxy') === true,
    load: async () => (await import('./steps/proxy.ts')).planProxy,
  },
]

interface PlanOptions extends StoreOptions {
  readonly hostsFile?: string | undefined
  readonly proxy?: ProxyAccess | undefined
  /** Whether every store is asked, also one whose files did not change since it was asked. */
  readonly planOnly?: boolean
}

/**
 * Compares what the file wants with what is found on this machine, and returns a step for each thing
 * that it asks for, in the order in which they are done. Changes nothing but what is remembered of
 * the stores.
 */
export async function planProject(
  world: TrustWorld,
  given: PlanOptions,
  project: Project,
  { wanted, recorded }: { readonly wanted: Wanted; readonly recorded: ProjectRecord | null },
): Promise<PlannedStep[]> {
  const { hostsFile, proxy } = given
  const trusting = await lookAtStores(world, given, project, wanted)
  const found = { project, wanted, world, ...trusting, recorded, hostsFile, proxy }
  const steps: PlannedStep[] = []
  for (const { isAsked, load } of kinds)
    if (isAsked(found)) steps.push(...(await (await load())({ ...found, earlier: steps })))
  return steps
}

/**
 * Finds out which stores trust the own roots and those that the file names. Unless this is for a plan
 * alone, remembers what they say, so that the next command need not start their programs.
 */
export async function lookAtStores(
  world: TrustWorld,
  given: PlanOptions,
  project: Project,
  wanted: Wanted,
): Promise<Pick<Work, 'options' | 'scopes' | 'roots' | 'trust'>> {
  const { state, now } = world
  // Where the person wanted no store, there is nothing to trust.
  const options = { ...given, kinds: await chosenKinds(state, given) }
  const scopes = await readTrustedScopes(state)
  const roots =
    wanted.trust.length === 0 ? [] : await readRoots(project, wanted, now(), state.owner)
  const foreign = roots.flatMap((root) =>
    root instanceof RootlingError ? [] : [createAnchor(root.raw)],
  )
  const { stores } = await openStores(world, options, scopes)
  const own = scopes.length > 0 ? scopes.map(anchorOf) : [await rootToMake(now())]
  const anchors = [...own, ...foreign]
  // Without an authority there is no state directory yet to remember anything in.
  const trust =
    given.planOnly === true || scopes.length === 0
      ? await lackingAnchors(stores, anchors)
      : await lackingSince(state, stores, anchors)
  return { options, scopes, roots, trust }
}

/** Returns a root in place of the one that is to be made, to ask which stores would take it. */
async function rootToMake(now: Date): Promise<TrustAnchor> {
  const { placeholderAnchor } = await import('../trust/install.ts')
  return placeholderAnchor(now, false)
}

async function readRoots(
  { directory }: Project,
  { trust }: Wanted,
  now: Date,
  owner: Owner | null,
) {
  const { readWantedRoot } = await import('./steps/trust.ts')
  return Promise.all(trust.map((root) => readWantedRoot(directory, root, now, owner)))
}
