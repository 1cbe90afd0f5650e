import { lstat, mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Machine } from '../../../platform/machine.ts'
import { RootlingError } from '../../errors.ts'
import { writeFileAtomic } from '../../files/atomic.ts'
import { unwritable } from '../../files/errors.ts'
import { exists } from '../../files/exists.ts'
import { removeFile } from '../../files/sync-fs.ts'
import { quotedPath, shellWord } from '../../shell-word.ts'
import type { Service } from './units.ts'

/** A sentence about the first command that failed; `null` when none failed. */
export type Problem = string | null

/**
 * Writes the service's file, and has the manager start the service now and at each login. An older
 * service is replaced. Throws `not-ours` for a file that a person wrote or changed.
 */
export async function installService(service: Service, machine: Machine): Promise<Problem> {
  await refuseForeign(service)
  await mkdir(dirname(service.path), { recursive: true }).catch((error: unknown) => {
    throw unwritable(service.path, error)
  })
  await writeFileAtomic(service.path, { data: service.contents, mode: 0o644 })
  if (await managerHas(service, machine)) await forget(service, machine)
  return runAll(service.enable, machine)
}

const notWritten = 'was not written by rootling daemon install, or was changed since'

/** Throws `not-ours` for a service file that a person wrote or changed. */
export async function refuseForeign(service: Service): Promise<void> {
  if (!(await isForeign(service))) return
  throw new RootlingError('not-ours', `${quotedPath(service.path)} ${notWritten}.`, {
    hint: `mv ${shellWord(service.path)} ${shellWord(`${service.path}.old`)}`,
  })
}

/** Whether something else than Rootling wrote what is at the path of the service's file. */
async function isForeign({ path, isOwn }: Service): Promise<boolean> {
  const info = await lstat(path).catch(() => null)
  if (info === null) return false
  return !info.isFile() || !isOwn(await readFile(path, 'utf8'))
}

/**
 * Takes the service from the manager and deletes its file. `removed` is false when there was no
 * service, when a person wrote its file, or when the manager keeps it: then the file stays too, for
 * another attempt.
 */
export async function uninstallService(
  service: Service,
  machine: Machine,
): Promise<{ readonly removed: boolean; readonly problem: Problem }> {
  const hasFile = await exists(service.path)
  const isKnown = await managerHas(service, machine)
  if (!hasFile && !isKnown) return { removed: false, problem: null }
  if (await isForeign(service))
    return { removed: false, problem: `${quotedPath(service.path)} ${notWritten}, so it was left.` }
  const problem = isKnown || service.known === undefined ? await forget(service, machine) : null
  if (problem !== null && service.known !== undefined) return { removed: false, problem }
  for (const path of [service.path, ...(service.links ?? [])]) await removeFile(path)
  return { removed: true, problem }
}

/** Returns the commands that enable the service, in one line to type. */
export function asTyped(service: Service): string {
  const lines = service.enable.map((words) => words.map((word) => shellWord(word)).join(' '))
  // No sign between commands means the same to cmd and to PowerShell.
  return lines.join(process.platform === 'win32' ? ', then ' : ' && ')
}

/**
 * Disables the service and waits until the manager has let it go: launchd keeps it until its
 * process has ended.
 */
async function forget(service: Service, machine: Machine): Promise<Problem> {
  const problem = await runAll(service.disable, machine)
  if (service.known === undefined) return problem
  const patience = problem === null ? 15_000 : 2_000
  for (const deadline = Date.now() + patience; Date.now() < deadline; await sleep(200))
    if (!(await managerHas(service, machine))) return null
  return problem
}

async function managerHas({ known }: Service, machine: Machine): Promise<boolean> {
  const [name = '', ...args] = known ?? []
  const program = name === '' ? null : await machine.find(name)
  return program !== null && (await machine.query(program, args)).exitCode === 0
}

async function runAll(
  commands: readonly (readonly string[])[],
  machine: Machine,
): Promise<Problem> {
  for (const [name = '', ...args] of commands) {
    const program = await machine.find(name)
    if (program === null) return `${name} is not on this machine.`
    const { exitCode, stdout, stderr } = await machine.change(program, args, { as: 'person' })
    const said = (stderr.trim() || stdout.trim()).split('\n')[0]
    if (exitCode !== 0) return `${name} ${args.join(' ')} failed: ${said || `exit ${exitCode}`}`
  }
  return null
}
