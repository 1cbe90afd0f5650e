import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import type { ScopePlan } from '../authority/ceremony.ts'
import { covers } from '../authority/coverage.ts'
import { permitsAll } from '../authority/create.ts'
import { isTrusted, noScope, openScope, readTrustedScopes, type Scope } from '../authority/scope.ts'
import { isKept } from '../certificates/kept-directory.ts'
import { renewable } from '../certificates/renew.ts'
import { useOf } from '../certificates/use.ts'
import { RootlingError } from '../errors.ts'
import { readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { toMove } from '../shell-commands.ts'
import { shellWord } from '../shell-word.ts'
import { allRootsFiles, allRootsPath, hasAllRoots } from '../storage/files/all-roots.ts'
import { readCurrentInventory } from '../storage/files/record.ts'
import {
  rootCopiesPath,
  rootPath,
  rotationParts,
  scopeNames,
  scopePath,
} from '../storage/files/scopes.ts'
import type { RotationPart } from '../storage/scopes.ts'
import type { CertificateRecord } from '../storage/records.ts'
import { inspectCertificate } from '../x509/inspect.ts'
import { localConstraints, widen } from '../x509/name-constraints.ts'
import { fingerprintOf } from '../x509/parsed-certificate.ts'
import { authorityValidity } from '../x509/profiles.ts'
import { requireHardenable } from './harden.ts'
import { placeholderAnchor } from './install.ts'
import { anchorOf, chosenKinds, openStores, type StoreOptions } from './machine-stores.ts'
import type { PlannedScope, RotationEffects, RotationPlan } from './rotation-plan.ts'
import { installAnchors } from './stores.ts'
import { removeAnchors } from './uninstall.ts'
import type { TrustWorld } from './world.ts'

/** Which scope is rotated, and into what. */
export interface RotationRequest {
  readonly name: string
  /** Whether the new scope is hardened; absent: as the old one is. */
  readonly harden?: boolean | undefined
  /** Domains and ranges that the new scope permits too. */
  readonly add?: readonly string[] | undefined
}

/** What a rotation starts from, and what it makes. */
export interface RotationDecision {
  readonly old: Scope
  /** The scope that an interrupted rotation made; `null`: it is to be made as `successor` says. */
  readonly next: Scope | null
  /** Whether new certificates already come from `next`. */
  readonly switched: boolean
  readonly successor: ScopePlan
}

/**
 * Decides what a rotation does, and changes nothing. Throws `no-scope`, and `usage` where the new
 * scope cannot be hardened or unhardened as asked, or where an interrupted rotation does not do what
 * is asked.
 */
export async function decideRotation(
  state: StateDirectory,
  { name, harden, add = [] }: RotationRequest,
): Promise<RotationDecision> {
  const parts = (await rotationParts(state)).filter((entry) => entry.name === name)
  const has = (wanted: RotationPart): boolean => parts.some(({ part }) => part === wanted)
  const isThere = (await scopeNames(state)).includes(name)
  // Between the two renames of a switch, the new scope is beside the old one and under no other name.
  const isHalfSwitched = !isThere && has('.old') && has('.next')
  if (!isThere && !isHalfSwitched) throw noScope(name, 'rootling ca list')
  if (has('.old')) {
    const next = await openScope(state, name, isHalfSwitched ? '.next' : '')
    refuseOther(next, harden)
    refuseWithout(next, add)
    const old = await openScope(state, name, '.old')
    return { old, next, switched: true, successor: successorOf(state, old, { name, add }) }
  }
  const old = await openScope(state, name)
  refuseExclusions(old)
  const successor = successorOf(state, old, { name, harden, add })
  if (!has('.next')) return { old, next: null, switched: false, successor }
  const next = await openScope(state, name, '.next')
  refuseOther(next, harden)
  refuseWithout(next, add)
  if (!isLike(next, successor)) throw notSuccessor(state, name)
  return { old, next, switched: false, successor }
}

/**
 * Returns what `rotate` would do with the same request, and changes nothing. Throws what
 * `decideRotation` throws.
 */
export async function planRotation(
  world: TrustWorld,
  options: Omit<StoreOptions, 'dryRun'>,
  request: RotationRequest,
): Promise<RotationPlan> {
  const { state, now } = world
  const decision = await decideRotation(state, request)
  const { old, next: made, switched } = decision
  const next = plannedScope(decision, now())
  const { name, hardened } = next
  if (hardened)
    await requireHardenable(world, options, `rootling ca rotate ${shellWord(name)} --no-harden`)
  const kinds = isTrusted(old) ? await chosenKinds(state, options) : []
  // What the stores are asked here, they are asked again in the rotation, which then reports it.
  const quiet = { ...world, report: () => undefined }
  const placeholders = made === null ? [await placeholderAnchor(now(), hardened)] : []
  const anchors = made === null ? placeholders : [anchorOf(made)]
  const scopes = made === null ? [old] : [old, made]
  const found = await openStores(quiet, { ...options, kinds, dryRun: true }, scopes, placeholders)
  const installed = await installAnchors(found.stores, anchors, { dryRun: true })
  const { outcomes: removed } = await removeAnchors(quiet, found, [anchorOf(old)])
  const renewals = await certificatesToRenew(state, old)
  return {
    old,
    next,
    continues: switched ? 'switched' : made === null ? null : 'made',
    outcomes: [...installed, ...removed],
    commands: found.machine.planned,
    renewals,
    unsignable: await unsignable(state, renewals, next),
    unfiled: await unfiled(state, name, now()),
    effects: await effectsOf(state, renewals, old, hardened),
  }
}

function plannedScope({ next, successor, old }: RotationDecision, now: Date): PlannedScope {
  if (next !== null) {
    const { name, use, permitted, constraints, rootNotAfter, copies, root } = next
    const hardened = copies !== null
    const fingerprint = fingerprintOf(root)
    return { name, use, permitted, constraints, rootNotAfter, hardened, fingerprint }
  }
  const { name, permitted, constraints, hardened = false } = successor
  const rootNotAfter = authorityValidity(now).notAfter
  return { name, use: old.use, permitted, constraints, rootNotAfter, hardened, fingerprint: null }
}

/** Returns the certificates in files that the old scope signed, without those that were revoked. */
async function certificatesToRenew(
  state: StateDirectory,
  old: Scope,
): Promise<CertificateRecord[]> {
  const inventory = await readCurrentInventory(state, { printed: false })
  const isOld = holdsCertificateOf(old)
  const found: CertificateRecord[] = []
  for (const record of renewable(inventory)) if (await isOld(record)) found.push(record)
  return found
}

/** Returns a test of whether the file of a certificate holds one that this scope signed. */
export const holdsCertificateOf =
  (scope: Scope) =>
  async ({ certPath }: Pick<CertificateRecord, 'certPath'>): Promise<boolean> => {
    const text = certPath === null ? null : await readText(certPath).catch(() => null)
    return text !== null && isSignedBy(text, scope)
  }

function isSignedBy(pem: string, { intermediate }: Scope): boolean {
  try {
    return new X509Certificate(pem).verify(intermediate.publicKey)
  } catch {
    return false
  }
}

async function unsignable(
  state: StateDirectory,
  records: readonly CertificateRecord[],
  next: PlannedScope,
): Promise<CertificateRecord[]> {
  const others = (await readTrustedScopes(state)).filter(({ name }) => name !== next.name)
  return records.filter(
    (record) =>
      useOf(record) === 'servers' &&
      ![next, ...others].some((scope) => covers(scope, record.identifiers)),
  )
}

async function unfiled(
  state: StateDirectory,
  name: string,
  now: Date,
): Promise<CertificateRecord[]> {
  const { certificates, revocations } = await readCurrentInventory(state)
  return certificates.filter(
    ({ scope, certPath, serialNumber, notAfter }) =>
      scope === name &&
      certPath === null &&
      !revocations.has(serialNumber) &&
      Date.parse(notAfter) > now.getTime(),
  )
}

/**
 * Returns which files programs must read anew, and which are old, once these certificates of the
 * scope were issued anew. Those that Rootling keeps for itself are left out, since what uses them
 * reads them again. `hardened`: whether the new root is.
 */
export async function effectsOf(
  state: StateDirectory,
  records: readonly CertificateRecord[],
  old: Scope,
  hardened: boolean,
): Promise<RotationEffects> {
  const { name } = old
  const copies = rootCopiesPath(state, name)
  const wasHardened = old.copies !== null
  const ofAll: string[] = []
  for (const file of isTrusted(old) ? allRootsFiles : [])
    if (await hasAllRoots(state, file)) ofAll.push(allRootsPath(state, file))
  return {
    reload: records.flatMap(({ certPath, onRenew }) =>
      certPath === null || onRenew !== undefined || isKept(state, certPath) ? [] : [certPath],
    ),
    updated: [rootPath(state, name), ...(wasHardened && hardened ? [copies] : []), ...ofAll],
    stale: [
      ...(wasHardened && !hardened ? [copies] : []),
      ...records.flatMap(({ extra = [] }) =>
        extra.flatMap(({ format, path, passwordFile }) =>
          format === 'pkcs12' && passwordFile === undefined ? [path] : [],
        ),
      ),
    ],
  }
}

/** Throws `usage` where the rotation that was interrupted makes another kind of scope than asked. */
function refuseOther({ name, copies }: Scope, harden: boolean | undefined): void {
  const hardened = copies !== null
  if (harden === undefined || harden === hardened) return
  throw new RootlingError(
    'usage',
    `An interrupted rotation of ${name} makes a scope that is ${hardened ? '' : 'not '}hardened.`,
    { hint: `Finish it first: rootling ca rotate ${name}` },
  )
}

/** Throws `usage` where the rotation that was interrupted does not add these names. */
function refuseWithout(next: Scope, add: readonly string[]): void {
  if (add.length === 0 || permitsAll(next, add)) return
  throw new RootlingError(
    'usage',
    `An interrupted rotation of ${next.name} does not add ${add.join(', ')}.`,
    { hint: `Finish it first: rootling ca rotate ${next.name}` },
  )
}

/**
 * Throws `usage` for an imported root that excludes names or addresses: the root that a rotation
 * makes would permit them. That every address is excluded is kept, since a scope without addresses
 * excludes them too.
 */
function refuseExclusions({ name, root, constraints, direct }: Scope): void {
  const { nameConstraints } = inspectCertificate(root.raw)
  if (!direct || nameConstraints === null) return
  const lost = nameConstraints.excluded
    .map(({ value }) => value)
    .filter((value) => constraints?.ip.length !== 0 || !/^(?:0\.0\.0\.0|::)\/0$/.test(value))
  if (lost.length === 0) return
  throw new RootlingError(
    'usage',
    `The root of the scope ${name} excludes ${lost.join(', ')}, which a new root would permit.`,
    { hint: 'Use it until it expires' },
  )
}

/**
 * Returns the plan of the scope that replaces `old`, with the same names. Where an imported root
 * may sign any name, the new root is limited to the local names.
 */
function successorOf(
  { authority }: StateDirectory,
  { name, use, permitted, constraints, copies, direct }: Scope,
  { harden, add = [] }: RotationRequest,
): ScopePlan {
  const kept = direct && constraints === null ? localConstraints : constraints
  const narrowed = kept === null ? null : widen(kept, add)
  if (harden === true && (use !== 'servers' || narrowed === null))
    throw new RootlingError(
      'usage',
      `The scope ${name} ${use === 'servers' ? 'may sign any name' : 'is in no trust store'}, so it cannot be hardened.`,
      { hint: `rootling ca rotate ${name}` },
    )
  const hardened = harden ?? copies !== null
  return {
    name,
    use,
    permitted: [...new Set([...permitted, ...add])],
    constraints: narrowed,
    hardened,
    authority,
  }
}

/**
 * Whether a scope may sign what a plan says, or more, which an interrupted rotation adds. Another one
 * is left of a rotation of a deleted scope of the same name; its root may be one that no store must
 * trust.
 */
const isLike = ({ use, permitted, constraints }: Scope, plan: ScopePlan): boolean =>
  use === plan.use &&
  (constraints === null) === (plan.constraints === null) &&
  plan.permitted.every((name) => permitted.includes(name))

const notSuccessor = (state: StateDirectory, name: string): RootlingError =>
  new RootlingError(
    'corrupt-state',
    `What a stopped rotation left beside the scope ${name} is of another scope of that name.`,
    {
      hint: `Move that away, and rotate again: ${toMove(scopePath(state, `${name}.next`), join(state.path, `${name}.next.away`))}`,
    },
  )
