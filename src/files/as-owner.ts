import { RootlingError } from '../errors.ts'
import type { Owner } from './owner.ts'

/**
 * Takes a step with the rights of the owner of our files, and no others: under sudo, their
 * directories, links and records are what any program of theirs may have put there, and root would
 * follow them everywhere. The step is synchronous, since whatever else runs meanwhile would have
 * these rights too. Throws `unsupported` in Deno, which has no setgroups.
 */
export function asOwner<T>(owner: Owner | null, step: () => T): T {
  if (owner === null || owner.uid === 0 || process.geteuid?.() !== 0) return step()
  if (process.setgroups === undefined)
    throw new RootlingError('unsupported', 'Deno cannot give up the groups of root.', {
      hint: 'Run it without sudo, or with Node',
    })
  const [group, groups] = [process.getegid?.() ?? 0, process.getgroups?.() ?? []]
  process.setgroups([owner.gid])
  process.setegid?.(owner.gid)
  process.seteuid?.(owner.uid)
  try {
    return step()
  } finally {
    process.seteuid?.(0)
    process.setegid?.(group)
    process.setgroups(groups)
  }
}
