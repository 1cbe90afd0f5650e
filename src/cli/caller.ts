import { homeOutsideSnap, xdgDirectory } from '../home/home-directory.ts'
import type { Owner } from '../files/owner.ts'

/**
 * Under sudo, doas or pkexec, makes the command work for the person who typed it: sets HOME to the
 * person's home. In the terminal of a snap, sets HOME to the home outside of the snap, and forgets the
 * XDG directories of the snap. So it must run before anything reads these variables. Returns the owner for the
 * files that the command writes; `null`: this process's own user. Throws `usage` where it is unclear
 * who the person is.
 */
export async function adoptCaller(): Promise<Owner | null> {
  const { env } = process
  for (const name of ['XDG_DATA_HOME', 'XDG_CONFIG_HOME'] as const)
    if (xdgDirectory(name, env) === null) delete env[name]
  const outside = homeOutsideSnap(env)
  if (outside !== null) env['HOME'] = outside
  const isClaimed = ['SUDO_UID', 'SUDO_USER', 'PKEXEC_UID', 'DOAS_USER'].some((name) => name in env)
  if (process.geteuid?.() !== 0 || !isClaimed) return null
  const { findPerson } = await import('../../platform/person.ts')
  const { uid, gid, home, viaSudo } = await findPerson(env)
  if (!viaSudo) return null
  env['HOME'] = home
  for (const name of ['XDG_DATA_HOME', 'XDG_CONFIG_HOME']) delete env[name]
  return { uid, gid }
}
