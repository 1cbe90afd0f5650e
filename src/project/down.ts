import { dirname, join } from 'node:path'
import { readScopes } from '../authority/scope.ts'
import { keyFault, readTracked } from '../certificates/renewed-files.ts'
import { forget } from '../certificates/forget.ts'
import { RootlingError } from '../errors.ts'
import { existsSync } from '../files/exists.ts'
import { readText } from '../files/read.ts'
import { planRemoval, removeHosts } from '../hosts/change.ts'
import { removeIfEmpty } from '../files/own-entries.ts'
import { removeFile } from '../files/sync-fs.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { readCurrentInventory } from '../storage/files/record.ts'
import { readTrustedRoots } from '../storage/files/trusted-roots.ts'
import type { StoreOptions } from '../trust/machine-stores.ts'
import { untrustRoot } from '../trust/trusted-roots.ts'
import { forgetTrustedScope } from '../trust/uninstall.ts'
import type { TrustWorld } from '../trust/world.ts'
import { projectFile } from './find.ts'
import { refusePlace } from './inside.ts'
import {
  forgetProject,
  readProjectRecord,
  readProjectRecords,
  isSame,
  unionOf,
  withProjectsLock,
  writeProjectRecord,
  type Done,
  type ProjectRecord,
} from './record.ts'
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

export interface Taken {
  /** The directory of the project. */
  readonly directory: string
  readonly steps: readonly Step[]
}

/** What taking back one thing comes to. */
interface Undoing {
  readonly step: Pick<Step, 'code' | 'subject' | 'command' | 'detail'>
  /** `null`: it is left or gone already, as `outcome` and `detail` say. */
  readonly apply: (() => Promise<void>) | null
  readonly outcome?: 'kept' | 'unchanged'
  /** The project that needs it, and which takes it back from now on. */
  readonly heir?: ProjectRecord
}

interface Taking extends DownOptions {
  readonly world: TrustWorld
  readonly record: ProjectRecord
  /** What is remembered of the other projects. */
  readonly others: readonly ProjectRecord[]
}

/**
 * Takes back what `up` did for the project that the directory is in, as far as that is unchanged and
 * no other project needs it. The authority stays, and what the file says does not count. Throws
 * `bad-project` where there is no project.
 */
export async function takeDown(world: TrustWorld, options: DownOptions): Promise<Taken> {
  const { state } = world
  const record = await recordFor(world, options.cwd)
  if (typeof record === 'string') return { directory: record, steps: [] }
  const work = async (): Promise<Step[]> => {
    const others = (await readProjectRecords(state)).filter(
      ({ project }) => project !== record.project,
    )
    const taking: Taking = { ...options, world, record, others }
    const steps: Step[] = []
    const left: Done[] = []
    for (const done of record.done.toReversed()) {
      const { step, heir } = await takeBack(done, taking)
      steps.push(step)
      if (heir !== undefined && options.planOnly !== true) await handOver(state, heir, done)
      else if (step.outcome === 'failed' || step.outcome === 'kept') left.unshift(done)
    }
    if (options.planOnly !== true)
      await (left.length === 0
        ? forgetProject(state, record.project)
        : writeProjectRecord(state, { ...record, approved: [], done: left, uses: [] }))
    return steps
  }
  const steps = options.planOnly === true ? await work() : await withProjectsLock(state, work)
  return { directory: record.project, steps }
}

/** Lets another project take something back from now on. */
async function handOver(state: StateDirectory, { project }: ProjectRecord, done: Done) {
  const heir = await readProjectRecord(state, project)
  if (heir !== null) await writeProjectRecord(state, { ...heir, done: unionOf(heir.done, [done]) })
}

/**
 * Finds what is remembered of the project in a directory or the nearest one above it. Returns the
 * directory of a project of which nothing is remembered.
 */
async function recordFor({ state }: TrustWorld, cwd: string): Promise<ProjectRecord | string> {
  for (let directory = cwd; ; directory = dirname(directory)) {
    const record = await readProjectRecord(state, directory)
    if (record !== null) return record
    if (existsSync(join(directory, projectFile))) return directory
    if (directory === dirname(directory)) break
  }
  throw new RootlingError('bad-project', `rootling up did nothing for the project in ${cwd}.`, {
    hint: 'Change to the directory of its rootling.json',
  })
}

async function takeBack(
  done: Done,
  taking: Taking,
): Promise<{ readonly step: Step; readonly heir?: ProjectRecord | undefined }> {
  const bare = { privileged: false } as const
  let step: Undoing['step'] | null = null
  try {
    const undoing = await undo(done, taking)
    step = undoing.step
    if (undoing.apply === null)
      return {
        step: { ...bare, ...step, outcome: undoing.outcome ?? 'unchanged' },
        heir: undoing.heir,
      }
    if (taking.planOnly === true) return { step: { ...bare, ...step, outcome: 'would-change' } }
    taking.onStep?.({ ...bare, ...step, outcome: 'would-change' })
    await undoing.apply()
    return { step: { ...bare, ...step, outcome: 'changed' } }
  } catch (error) {
    if (error instanceof RootlingError && error.code === 'cancelled') throw error
    const detail = error instanceof Error ? error.message : String(error)
    const hint =
      error instanceof RootlingError && error.hint !== undefined ? { hint: error.hint } : {}
    const about = step ?? { code: codeOf(done), subject: subjectOf(done) }
    return { step: { ...bare, ...about, outcome: 'failed', detail, ...hint } }
  }
}

const codeOf = ({ kind }: Done): Step['code'] => kind

function subjectOf(done: Done): string {
  switch (done.kind) {
    case 'certificate':
      return done.cert
    case 'permit':
      return done.names.join(', ')
    case 'trust':
      return done.fingerprint
    case 'ignore':
      return '.gitignore'
    case 'hosts':
      return 'the hosts file'
    case 'env':
      return done.file
  }
}

async function undo(done: Done, taking: Taking): Promise<Undoing> {
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
  }
}

async function undoCertificate(
  { cert, key }: Extract<Done, { kind: 'certificate' }>,
  { world, record, files }: Taking,
): Promise<Undoing> {
  const { state, now } = world
  const step = { code: 'certificate', subject: cert } as const
  const [certPath, keyPath] = [join(record.project, cert), join(record.project, key)]
  refusePlace(record.project, cert)
  refusePlace(record.project, key)
  if (!existsSync(certPath) && !existsSync(keyPath))
    return { step: { ...step, detail: 'Its files are gone already.' }, apply: null }
  if (!files)
    return {
      step: { ...step, detail: 'The files are left. To delete them too: rootling down --files' },
      apply: null,
      outcome: 'kept',
    }
  const { certificates } = await readCurrentInventory(state)
  const own = certificates.findLast(
    (each) => each.certPath === certPath && each.keyPath === keyPath,
  )
  const tracked = own === undefined ? null : await readTracked(certPath, own)
  const isOwn =
    own !== undefined &&
    tracked !== null &&
    !('reason' in tracked) &&
    (await keyFault(tracked, own)) === null
  if (!isOwn)
    return {
      step: { ...step, detail: 'Something else changed the files since, so they are left.' },
      apply: null,
      outcome: 'kept',
    }
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
  if (scope === undefined)
    return { step: { ...step, detail: 'The scope is gone already.' }, apply: null }
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
    return {
      step: { ...step, detail: `The scope ${scope.name} is left, since ${user} needs it.` },
      apply: null,
      outcome: 'kept',
      ...(heir === undefined ? {} : { heir }),
    }
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
  if (root === undefined)
    return { step: { ...step, detail: 'The root is not trusted any more.' }, apply: null }
  const heir = heirOf({ kind: 'trust', fingerprint }, others)
  if (heir !== undefined)
    return {
      step: { ...step, detail: `It is left, since ${heir.project} needs it.` },
      apply: null,
      outcome: 'kept',
      heir,
    }
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
  // While a key is there, its line keeps it out of commits.
  if (!files && hasKeys)
    return {
      step: { ...step, detail: 'Its lines are left with the files.' },
      apply: null,
      outcome: 'kept',
    }
  return {
    step: { ...step, detail: `Lines are removed: ${lines.join(' ')}` },
    apply: async () => {
      await removeLines(join(record.project, '.gitignore'), lines, world.state.owner)
    },
  }
}

async function undoHosts({ world, record, hostsFile: file, ...options }: Taking): Promise<Undoing> {
  const request = { env: world.env, names: null, project: record.project, file }
  const { remove, file: path } = await planRemoval(request)
  const step = { code: 'hosts', subject: path } as const
  if (remove.length === 0)
    return { step: { ...step, detail: 'It has no line of the project any more.' }, apply: null }
  const lines = remove.map(({ address, name }) => `${address} ${name}`)
  return {
    step: { ...step, detail: `Lines are removed: ${lines.join(', ')}` },
    apply: async () => {
      await removeHosts(request, hostsAccess(world, options, 'rootling down'))
    },
  }
}

async function undoEnv(
  { file }: Extract<Done, { kind: 'env' }>,
  { record }: Taking,
): Promise<Undoing> {
  const step = { code: 'env', subject: file } as const
  refusePlace(record.project, file)
  const path = join(record.project, file)
  const text = await readText(path)
  if (text === null) return { step: { ...step, detail: 'It is gone already.' }, apply: null }
  if (!isOwnEnv(text))
    return {
      step: { ...step, detail: 'Something else changed it since, so it is left.' },
      apply: null,
      outcome: 'kept',
    }
  return { step: { ...step, detail: 'It is deleted.' }, apply: () => removeFile(path) }
}
