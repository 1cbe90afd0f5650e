import { asksOnce } from '../../platform/asks-once.ts'
import { openScope, isTrusted, type Scope } from '../authority/scope.ts'
import type { Target } from '../client/target.ts'
import { RootlingError } from '../errors.ts'
import { readCurrentInventory } from '../storage/files/record.ts'
import { scopeNames } from '../storage/files/scopes.ts'
import { readStoreMemory } from '../storage/files/store-memory.ts'
import { anchorOf, chosenKinds, openStores, type StoreOptions } from '../trust/machine-stores.ts'
import { trustStatus } from '../trust/stores.ts'
import type { TrustWorld } from '../trust/world.ts'
import { checkBrowsers } from './checks/browsers.ts'
import { checkCertificates } from './checks/certificates.ts'
import type { Checked, Known } from './checks/check.ts'
import { checkEnvironment } from './checks/environment.ts'
import { checkFiles } from './checks/files.ts'
import { checkPorts } from './checks/ports.ts'
import { checkProject } from './checks/project.ts'
import { checkRoots } from './checks/roots.ts'
import { checkServer, type CheckedServer } from './checks/server.ts'
import { checkStores } from './checks/stores.ts'
import { finding, inOrder, type Finding } from './codes.ts'

export interface Examination {
  /** Ordered by what a person should see to first. */
  readonly findings: readonly Finding[]
  readonly checked: readonly Omit<Checked, 'findings'>[]
  /** Each server that was asked for. */
  readonly servers: readonly Pick<CheckedServer, 'url' | 'handshakes' | 'clients'>[]
}

export interface ExamineOptions extends Pick<StoreOptions, 'kinds' | 'javaPasswordFile'> {
  /** The directory whose project files count; `null`: none does. */
  readonly cwd: string | null
  /** Whether to run the runtimes of this machine, which takes seconds. */
  readonly runtimes: boolean
  /** The servers to visit. */
  readonly targets: readonly Target[]
}

/**
 * Looks for everything on this machine that keeps the authority from being trusted, and changes
 * nothing. Each store is asked once, and all checks run at the same time. A check that fails is a
 * finding.
 */
export async function examine(world: TrustWorld, options: ExamineOptions): Promise<Examination> {
  const { known, findings: damage } = await readKnown(world, options)
  const checks = [
    checkStores,
    checkRoots,
    checkBrowsers,
    checkEnvironment,
    checkFiles,
    checkCertificates,
    checkPorts,
    checkProject,
  ]
  if (options.runtimes) checks.push((await import('./checks/runtimes.ts')).checkRuntimes)
  const [results, servers] = await Promise.all([
    Promise.all(checks.map((check) => attempt(check, known))),
    Promise.all(options.targets.map((target) => checkServer(target, known))),
  ])
  const all = [...results, ...servers]
  const found = [...damage, ...all.flatMap(({ findings }) => findings)]
  return {
    findings: inOrder(withoutRepeats(found)),
    checked: all.map(({ check, subjects }) => ({ check, subjects })),
    servers: servers.map(({ url, handshakes, clients }) => ({ url, handshakes, clients })),
  }
}

async function attempt(check: (known: Known) => Promise<Checked>, known: Known): Promise<Checked> {
  try {
    return await check(known)
  } catch (error) {
    return { check: check.name, subjects: [], findings: [damaged(check.name, error)] }
  }
}

/**
 * Returns each finding once: two checks may both meet the same damaged file. That a store trusts an
 * older root says already that it lacks the one of now.
 */
function withoutRepeats(findings: readonly Finding[]): Finding[] {
  const mismatched = new Set(
    findings.filter(({ code }) => code === 'root-mismatch').map(({ subject }) => subject),
  )
  const wanted = findings.filter(
    ({ code, subject }) => !(code.endsWith('-missing-root') && mismatched.has(subject)),
  )
  return [
    ...new Map(
      wanted.map((each) => [`${each.code} ${each.subject} ${each.sentence}`, each]),
    ).values(),
  ]
}

function damaged(subject: string, error: unknown): Finding {
  if (!(error instanceof RootlingError)) throw error
  const { message: sentence, hint } = error
  return finding('damaged-state', subject, { sentence, remedy: hint ?? 'rootling status' })
}

interface Read {
  readonly known: Known
  /** What could not be read. */
  readonly findings: readonly Finding[]
}

async function readKnown(world: TrustWorld, options: ExamineOptions): Promise<Read> {
  const { state } = world
  const findings: Finding[] = []
  const orTell = async <T>(subject: string, work: () => Promise<T>, instead: T): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      findings.push(damaged(subject, error))
      return instead
    }
  }
  const names = await orTell(state.path, () => scopeNames(state), [])
  const scopes: Scope[] = []
  for (const name of names)
    scopes.push(...(await orTell(name, async () => [await openScope(state, name)], [])))
  const onDamage = (_sentence: string, error: RootlingError): void =>
    void findings.push(damaged('the record', error))
  const empty = { certificates: [], revocations: new Map(), forgotten: new Set<string>() }
  const inventory = await orTell(
    'the record',
    () => readCurrentInventory(state, { printed: false, onDamage }),
    empty,
  )
  const memory = await orTell('stores.json', () => readStoreMemory(state), null)
  const kinds = options.kinds ?? (memory === null ? undefined : await chosenKinds(state, {}))
  // Expired scopes are told by a check, not by an event.
  const silent = { ...world, report: () => undefined }
  const { machine, stores } = await openStores(
    silent,
    { ...options, kinds, through: asksOnce },
    scopes,
  )
  const anchors = scopes.filter(isTrusted).map(anchorOf)
  const known: Known = {
    world,
    cwd: options.cwd,
    now: world.now(),
    machine,
    scopes,
    inventory,
    stores,
    outcomes: await trustStatus(stores, anchors),
    chosenNone: kinds?.length === 0,
    untrusted: memory?.untrusted ?? [],
  }
  return { known, findings }
}
