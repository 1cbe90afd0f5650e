import { dirname, join } from 'node:path'
import { readScopes } from '../authority/scope.ts'
import { forget } from '../certificates/forget.ts'
import { isLeftKey } from '../certificates/output-files.ts'
import { keyFault, readTracked } from '../certificates/renewed-files.ts'
import { currentCertificates } from '../certificates/status.ts'
import { existsSync } from '../files/exists.ts'
import { removeIfEmpty } from '../files/own-entries.ts'
import { readText } from '../files/read.ts'
import { removeFile } from '../files/sync-fs.ts'
import { planRemoval, removeHosts } from '../hosts/change.ts'
import { notShared, staying } from '../hosts/shared-lines.ts'
import { readRoutes, removeRoutes } from '../proxy/kept-routes.ts'
import { placeOf, type Route } from '../proxy/routes.ts'
import { inJson, readCurrentInventory, readInventoryOf } from '../storage/files/record.ts'
import type { CertificateRecord } from '../storage/records.ts'
import { readTrustedRoots } from '../storage/files/trusted-roots.ts'
import type { StoreOptions } from '../trust/machine-stores.ts'
import { untrustRoot } from '../trust/trusted-roots.ts'
import { forgetTrustedScope } from '../trust/uninstall.ts'
import type { TrustWorld } from '../trust/world.ts'
import { refusePlace } from './inside.ts'
import { isSame, type Done, type ProjectRecord } from './record.ts'
import type { Step } from './step.ts'
import { refuseFailures } from './steps/authority.ts'
import { isOwnEnv } from './steps/env.ts'
import { hostsAccess } from './steps/hosts.ts'
import { removeLines } from './steps/ignore.ts'
export interface DownOptions extends StoreOptions {
  readonly cwd: string
  /** Whether certificates and keys are deleted too. */
  readonly files: boolean
  readonly planOnly?: boolean
  /** The hosts file; default: this machine's. */
  readonly hostsFile?: string | undefined
  readonly onStep?: (step: Step) => void
}

/** What taking back one thing comes to. */
export interface Undoing {
  readonly step: Pick<Step, 'code' | 'subject' | 'command' | 'detail'>
  /** `null`: it is left or gone already, as `outcome` and `detail` say. */
  readonly apply: (() => Promise<void>) | null
  readonly outcome?: 'kept' | 'unchanged'
  /** The project that needs it, and which takes it back from now on. */
  readonly heir?: ProjectRecord
}

export interface Taking extends DownOptions {
  readonly world: TrustWorld
  readonly record: ProjectRecord
  /** What is remembered of the other projects. */
  readonly others: readonly ProjectRecord[]
}

/** Something that is left, since it was changed or another project needs it. */
const kept = (step: Undoing['step'], detail: string, heir?: ProjectRecord): Undoing => ({
  step: { ...step, detail },
  apply: null,
  outcome: 'kept',
  ...(heir === undefined ? {} : { heir }),
})

/** Something that is gone already. */
const unchanged = (step: Undoing['step'], detail: string): Undoing => ({
  step: { ...step, detail },
  apply: null,
})

/** Finds out how one thing that `up` did is taken back, and whether it may be. */
export async function undo(done: Done, taking: Taking): Promise<Undoing> {
  switch (done.kind) {
    case 'certificate':
      return undoCertificate(done, taking)
    case 'permit':
      return undoPermit(done, taking)
    case 'trust':
      return undoTrust(done, taking)
    case 'ignore':
      return undoIgnore(done, taking)
    case 'hosts':
      return undoHosts(taking)
    case 'env':
      return undoEnv(done, taking)
    case 'proxy':
      return undoProxy(taking)
  }
}

async function undoCertificate(
  { cert, key }: Extract<Done, { kind: 'certificate' }>,
  { world, record, files }: Taking,
): Promise<Undoing> {
  const { state, now } = world
  const step = { code: 'certificate', subject: cert } as const
  const [certPath, keyPath] = [join(record.project, cert), join(record.project, key)]
  for (const path of [cert, key]) refusePlace(record.project, path, state.owner)
  if (!existsSync(certPath) && !existsSync(keyPath))
    return unchanged(step, 'Its files are gone already.')
  if (!files) return kept(step, 'The files are left. To delete them too: rootling down --files')
  const { certificates } = await readInventoryOf(state, [`"${inJson(certPath)}"`])
  const own = currentCertificates(certificates).findLast(
    (each) => each.certPath === certPath && each.keyPath === keyPath,
  )
  if (own === undefined || !(await areOwn(own, { certPath, keyPath }, world)))
    return kept(step, 'Something else changed the files since, so they are left.')
  return {
    step: { ...step, detail: `${cert} and ${key} are deleted.` },
    apply: async () => {
      for (const path of [keyPath, certPath]) await removeFile(path)
      for (const path of [keyPath, certPath])
        if (dirname(path) !== record.project) removeIfEmpty(dirname(path))
      await forget(state, { words: [own.serialNumber], cwd: '/', all: true }, now())
    },
  }
}

/** Whether both files, or the one that a killed `down` left alone, hold what Rootling wrote. */
async function areOwn(
  record: CertificateRecord,
  { certPath, keyPath }: { readonly certPath: string; readonly keyPath: string },
  { state }: TrustWorld,
): Promise<boolean> {
  if (!existsSync(certPath)) return isLeftKey(state, { certPath, keyPath }, await readText(keyPath))
  const tracked = await readTracked(certPath, record)
  if ('reason' in tracked) return false
  return !existsSync(keyPath) || (await keyFault(tracked, record)) === null
}

/** Returns another project that needs what this one did; `undefined`: none does. */
const heirOf = (done: Done, others: readonly ProjectRecord[]): ProjectRecord | undefined =>
  others.find(({ uses, project }) => uses.some((use) => isSame(use, done)) && existsSync(project))

async function undoPermit(
  { names }: Extract<Done, { kind: 'permit' }>,
  taking: Taking,
): Promise<Undoing> {
  const { world, record, others } = taking
  const step = { code: 'permit', subject: names.join(', ') } as const
  const same = (other: readonly string[]): boolean =>
    [...other].toSorted().join() === [...names].toSorted().join()
  const scope = (await readScopes(world.state)).find(
    ({ use, permitted }) => use === 'servers' && same(permitted),
  )
  if (scope === undefined) return unchanged(step, 'The scope is gone already.')
  const heir = heirOf({ kind: 'permit', names }, others)
  const { certificates, forgotten } = await readCurrentInventory(world.state)
  const elsewhere = certificates.find(
    ({ scope: signer, certPath, serialNumber }) =>
      signer === scope.name &&
      !forgotten.has(serialNumber) &&
      certPath !== null &&
      !certPath.startsWith(join(record.project, '/')) &&
      existsSync(certPath),
  )
  const user = heir?.project ?? elsewhere?.certPath ?? null
  if (user !== null)
    return kept(step, `The scope ${scope.name} is left, since ${user} needs it.`, heir)
  return {
    step: {
      ...step,
      command: `rootling ca forget ${scope.name}`,
      detail: `The scope ${scope.name} and its key are deleted.`,
    },
    apply: async () => {
      const agreed = { ...world, confirm: agreeTo('forget-scope', world) }
      const change = await forgetTrustedScope(agreed, taking, scope.name, () => 'rootling ca list')
      refuseFailures(change.outcomes)
    },
  }
}

/** Answers one type of question with yes: `down` says what it does, and was asked to do it. */
const agreeTo =
  (type: string, { confirm }: TrustWorld): TrustWorld['confirm'] =>
  async (question) =>
    question.type === type || confirm(question)

async function undoTrust(
  { fingerprint }: Extract<Done, { kind: 'trust' }>,
  taking: Taking,
): Promise<Undoing> {
  const { world, others } = taking
  const root = (await readTrustedRoots(world.state)).find(
    (each) => each.fingerprint === fingerprint,
  )
  const step = { code: 'trust', subject: root?.label ?? fingerprint } as const
  if (root === undefined) return unchanged(step, 'The root is not trusted any more.')
  const heir = heirOf({ kind: 'trust', fingerprint }, others)
  if (heir !== undefined) return kept(step, `It is left, since ${heir.project} needs it.`, heir)
  return {
    step: { ...step, command: `rootling untrust ${fingerprint}`, detail: 'It is trusted no more.' },
    apply: async () => {
      const { outcomes } = await untrustRoot(world, { ...taking, dryRun: false }, fingerprint)
      refuseFailures(outcomes)
    },
  }
}

async function undoIgnore(
  { lines }: Extract<Done, { kind: 'ignore' }>,
  { world, record, files }: Taking,
): Promise<Undoing> {
  const step = { code: 'ignore', subject: '.gitignore' } as const
  const hasKeys = record.done.some(
    (each) => each.kind === 'certificate' && existsSync(join(record.project, each.key)),
  )
  if (!existsSync(join(record.project, '.gitignore'))) return unchanged(step, 'It is gone already.')
  // While a key is there, its line keeps it out of commits.
  if (!files && hasKeys) return kept(step, 'Its lines are left with the files.')
  return {
    step: { ...step, detail: `Lines are removed: ${lines.join(' ')}` },
    apply: async () => {
      await removeLines(join(record.project, '.gitignore'), lines, world.state.owner)
    },
  }
}

async function undoHosts({ world, record, hostsFile: file, ...options }: Taking): Promise<Undoing> {
  const request = { env: world.env, names: null, project: record.project, file }
  const { remove, shared, file: path } = await planRemoval(request)
  const step = { code: 'hosts', subject: path } as const
  if (remove.length === 0) return unchanged(step, 'It has no line of the project any more.')
  const lines = notShared(remove, shared).map(({ address, name }) => `${address} ${name}`)
  const removed = lines.length === 0 ? [] : [`Lines are removed: ${lines.join(', ')}`]
  return {
    step: { ...step, detail: [...removed, ...shared.map(staying)].join('; ') },
    apply: async () => {
      await removeHosts(request, hostsAccess(world, options, 'rootling down'))
    },
  }
}

async function undoProxy({ world, record }: Taking): Promise<Undoing> {
  const isOwn = ({ owner }: Route): boolean =>
    owner.kind === 'project' && owner.project === record.project
  const routes = (await readRoutes(world.state)).filter(isOwn)
  const step = { code: 'proxy', subject: routes.map(placeOf).join(', ') } as const
  if (routes.length === 0)
    return unchanged({ ...step, subject: 'the routes of the proxy' }, 'They are gone already.')
  return {
    step: { ...step, detail: 'The proxy serves them no more.' },
    apply: async () => {
      await removeRoutes(world.state, isOwn)
    },
  }
}

async function undoEnv(
  { file }: Extract<Done, { kind: 'env' }>,
  { world, record }: Taking,
): Promise<Undoing> {
  const step = { code: 'env', subject: file } as const
  refusePlace(record.project, file, world.state.owner)
  const path = join(record.project, file)
  const text = await readText(path)
  if (text === null) return unchanged(step, 'It is gone already.')
  if (!isOwnEnv(text)) return kept(step, 'Something else changed it since, so it is left.')
  return { step: { ...step, detail: 'It is deleted.' }, apply: () => removeFile(path) }
}
