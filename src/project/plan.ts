import { createAnchor } from '../../platform/pem.ts'
import { readTrustedScopes } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import { anchorOf, chosenKinds, openStores, type StoreOptions } from '../trust/machine-stores.ts'
import { trustStatus } from '../trust/stores.ts'
import type { TrustWorld } from '../trust/world.ts'
import type { Project } from './find.ts'
import type { Wanted } from './read.ts'
import type { ProjectRecord } from './record.ts'
import type { PlannedStep, Work } from './step.ts'
import { planAuthority } from './steps/authority.ts'
import { planCertificates } from './steps/certificates.ts'
import { planEnv } from './steps/env.ts'
import { planHostsLines } from './steps/hosts.ts'
import { planIgnore } from './steps/ignore.ts'
import { planPermit } from './steps/permit.ts'
import { planProxy } from './steps/proxy.ts'
import { planTrust, readWantedRoot } from './steps/trust.ts'

/**
 * The kinds of steps, in the order in which they are done: a key is ignored before it is written,
 * and a scope is there before it signs.
 */
const kinds: readonly ((work: Work) => Promise<PlannedStep[]>)[] = [
  planIgnore,
  planAuthority,
  planPermit,
  planTrust,
  planCertificates,
  planHostsLines,
  planEnv,
  planProxy,
]

/**
 * Compares what the file wants with what is found on this machine, and returns a step for each thing
 * that it asks for, in the order in which they are done. Changes nothing.
 */
export async function planProject(
  world: TrustWorld,
  given: StoreOptions & { readonly hostsFile?: string | undefined },
  project: Project,
  { wanted, recorded }: { readonly wanted: Wanted; readonly recorded: ProjectRecord | null },
): Promise<PlannedStep[]> {
  const { state, now } = world
  // Where the person wanted no store, there is nothing to trust.
  const options = { ...given, kinds: await chosenKinds(state, given) }
  const scopes = await readTrustedScopes(state)
  const roots = await Promise.all(
    wanted.trust.map((root) => readWantedRoot(project.directory, root, now())),
  )
  const foreign = roots.flatMap((root) =>
    root instanceof RootlingError ? [] : [createAnchor(root.raw)],
  )
  const { stores } = await openStores(world, { ...options, dryRun: false }, scopes)
  const trust = await trustStatus(stores, [...scopes.map(anchorOf), ...foreign])
  const { hostsFile } = given
  const found = { project, wanted, world, options, scopes, trust, roots, recorded, hostsFile }
  const steps: PlannedStep[] = []
  for (const kind of kinds) steps.push(...(await kind({ ...found, earlier: steps })))
  return steps
}
