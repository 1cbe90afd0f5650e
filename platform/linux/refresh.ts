import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { expectSuccess } from '../command.ts'
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

/** Makes the system read its directory of roots again. Throws `tool-missing` or `tool-failed`. */
export async function refresh(
  machine: Machine,
  family: LinuxFamily,
  command: LinuxFamily['refresh'] = family.refresh,
): Promise<void> {
  const found = await findRefresh(machine, family, command)
  if (found === null) throw new RootlingError('tool-missing', `${command[0]} is not there.`)
  const { name, program, args } = found
  // Two runs at once would both write the bundle. flock(1) can lock a directory, so it leaves no
  // lock file behind.
  const flock = await machine.find('flock', { forRoot: true })
  const [first, ...rest] =
    flock === null ? [program, ...args] : [flock, family.directory, program, ...args]
  expectSuccess(name, await machine.change(first, rest, { as: 'root' }))
}

/**
 * Tells the hooks of update-ca-certificates that a root was removed. `update-ca-certificates
 * --fresh` never tells them, so Java's keystore would keep the root. `name` is the name of the
 * root's file without its extension.
 */
export async function notifyHooks(
  machine: Machine,
  { hooks, hashLinks }: LinuxFamily,
  name: string,
): Promise<void> {
  if (hooks === undefined || hashLinks === null) return
  const input = `-${path.join(hashLinks, name)}.pem\n`
  for (const script of await readdir(hooks).catch(() => [])) {
    // The names that run-parts(8) accepts.
    if (!/^[A-Za-z0-9_-]+$/.test(script)) continue
    const hook = await machine.find(path.join(hooks, script), { forRoot: true })
    // The failure of a hook (apt may hold its lock) is ignored: the system store is already
    // changed, and Java's keystore is checked as a store of its own.
    if (hook !== null) await machine.change(hook, [], { as: 'root', input })
  }
}
