import { RootlingError } from '../errors.ts'
import { readText } from '../files/read.ts'
import { shellWord } from '../shell-word.ts'

/**
 * Returns the number of a group that files can be given to. Throws `usage` for a group that does not
 * exist, or that this user is not a member of.
 */
export async function groupNumber(name: string): Promise<number> {
  const gid = /^\d{1,9}$/.test(name) ? Number(name) : await gidOf(name)
  const { geteuid, getegid, getgroups } = process
  const own = [getegid?.() ?? -1, ...(getgroups?.() ?? [])]
  if (geteuid?.() === 0 || own.includes(gid)) return gid
  throw new RootlingError(
    'usage',
    `You are not a member of the group ${name}, so no file can be given to it.`,
    { hint: 'See your groups: id -Gn' },
  )
}

async function gidOf(name: string): Promise<number> {
  const lines = ((await readText('/etc/group')) ?? '').split('\n').map((line) => line.split(':'))
  const gid = lines.find(([own]) => own === name)?.[2]
  if (gid !== undefined && /^\d+$/.test(gid)) return Number(gid)
  throw new RootlingError('usage', `There is no group ${name} in /etc/group.`, {
    hint: `Name its number, which is the third field of: getent group ${shellWord(name)}`,
  })
}
