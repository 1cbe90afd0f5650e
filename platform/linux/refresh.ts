import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { expectSuccess, timeLimits, type CommandResult } from '../command.ts'
import { exists } from '../file-status.ts'
import type { Machine } from '../machine.ts'
import type { LinuxFamily } from './families.ts'

interface Refresh {
  readonly name: string
  /** Absolute path. */
  readonly program: string
  readonly args: readonly string[]
}

/**
 * Returns the first of `command` and the family's `refreshOtherwise` that is on this machine;
 * `null`: neither is.
 */
export async function findRefresh(
  machine: Machine,
  family: LinuxFamily,
  command: LinuxFamily['refresh'] = family.refresh,
): Promise<Refresh | null> {
  for (const [name, ...args] of [command, family.refreshOtherwise ?? command]) {
    const program = await machine.find(name, { forRoot: true })
    if (program !== null) return { name, program, args }
  }
  return null
}

/**
 * Milliseconds to look at the store again after each refresh that did not do what it should: a
 * package manager may have run the same program beside it, and its older bundle came last.
 */
const patience = [2_000, 5_000] as const

/**
 * Makes the system read its directory of roots again, and looks whether it did: for a while, because
 * another program may refresh at the same time, and then runs the refresh once more. Throws
 * `tool-missing`, `tool-timeout` or `tool-failed` where the store is not as `isDone` wants it.
 */
export async function refreshUntil(
  machine: Machine,
  family: LinuxFamily,
  command: LinuxFamily['refresh'],
  isDone: () => Promise<boolean>,
): Promise<void> {
  let next = command
  for (const milliseconds of patience) {
    const failure = await refresh(machine, family, next).catch((error: unknown) => error)
    if (machine.dryRun) return
    const isFinal =
      failure !== undefined && !(failure instanceof RootlingError && failure.code === 'tool-failed')
    if (await waitFor(isDone, isFinal ? 0 : milliseconds)) return
    // Debian's update-ca-certificates, when killed halfway, leaves its own link to the root. It then
    // takes the root for added, and makes no link by its hash until it is run with --fresh.
    next = family.refreshAfterRemoval ?? command
    const isLast = milliseconds === patience.at(-1)
    if (failure !== undefined && (isFinal || isLast)) throw failure
  }
}

/** Asks until the answer is yes, at least once. Returns the last answer. */
async function waitFor(isDone: () => Promise<boolean>, milliseconds: number): Promise<boolean> {
  for (let left = milliseconds; ; left -= 250) {
    if (await isDone()) return true
    if (left <= 0) return false
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}

/** The exit code of flock(1) when another process still holds the lock after two minutes. */
const lockIsHeld = 75
const boundedWait = ['-w', '120', '-E', String(lockIsHeld)]

async function refresh(
  machine: Machine,
  family: LinuxFamily,
  command: LinuxFamily['refresh'],
): Promise<void> {
  const found = await findRefresh(machine, family, command)
  if (found === null) throw new RootlingError('tool-missing', `${command[0]} is not there.`)
  const { name, program, args } = found
  // Two runs at once would both write the bundle. flock(1) can lock a directory, so it leaves no
  // lock file behind. Since every user can take that lock, nobody may keep others out by it.
  const canLock = machine.dryRun || (await exists(family.directory))
  const flock = canLock ? await machine.find('flock', { forRoot: true }) : null
  const options = { as: 'root', timeLimit: timeLimits.refresh, name } as const
  const attempt = async (): Promise<CommandResult> => {
    if (flock === null) return machine.change(program, args, options)
    const locked = [family.directory, program, ...args]
    const bounded = await machine.change(flock, [...boundedWait, ...locked], options)
    if (bounded.exitCode === lockIsHeld) return machine.change(program, args, options)
    // That of BusyBox has no such options.
    const isSimple =
      bounded.exitCode !== 0 && /(?:invalid|unrecognized) option/.test(bounded.stderr)
    return isSimple ? machine.change(flock, locked, options) : bounded
  }
  const result = await attempt().catch((error: unknown) => {
    throw error instanceof RootlingError && error.code === 'tool-timeout' && family.hooks
      ? new RootlingError('tool-timeout', error.message, {
          hint: `See whether a script in ${family.hooks} hangs: sudo ${name} --verbose`,
          cause: error,
        })
      : error
  })
  expectSuccess(name, result)
}

/**
 * Tells the hooks of update-ca-certificates that roots were removed. `update-ca-certificates
 * --fresh` never tells them, so Java's keystore would keep the roots. `names` are those of the
 * roots' files without their extension.
 */
export async function notifyHooks(
  machine: Machine,
  { hooks, hashLinks }: LinuxFamily,
  names: readonly string[],
): Promise<void> {
  if (hooks === undefined || hashLinks === null) return
  const input = names.map((name) => `-${path.join(hashLinks, name)}.pem\n`).join('')
  for (const script of await readdir(hooks).catch(() => [])) {
    // The names that run-parts(8) accepts.
    if (!/^[A-Za-z0-9_-]+$/.test(script)) continue
    const hook = await machine.find(path.join(hooks, script), { forRoot: true })
    // The failure of a hook is ignored: apt may hold its lock, or another program left it there
    // that is gone. The system store is already changed, and Java's keystore is checked as a store
    // of its own.
    if (hook !== null) await machine.change(hook, [], { as: 'root', input }).catch(() => undefined)
  }
}
