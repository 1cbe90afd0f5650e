import type { Owner } from '../files/owner.ts'

/**
 * Under sudo, makes the command work for the person who typed it: sets HOME to the person's home,
 * so it must run before anything reads HOME. Returns the owner for the files that the command
 * writes; `null`: this process's own user.
 */
export async function adoptCaller(): Promise<Owner | null> {
  if (process.geteuid?.() !== 0 || process.env['SUDO_UID'] === undefined) return null
  const { findPerson } = await import('../../platform/person.ts')
  const { uid, gid, home, viaSudo } = await findPerson(process.env)
  if (!viaSudo) return null
  process.env['HOME'] = home
  for (const name of ['XDG_DATA_HOME', 'XDG_CONFIG_HOME']) delete process.env[name]
  return { uid, gid }
}
