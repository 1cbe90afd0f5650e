import { isGone } from '../../files/exists.ts'
import { listHosts } from '../../hosts/change.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { table } from '../lines.ts'
import type { hostsListSpec } from '../specs/hosts.ts'
import { quotedPath } from '../../shell-word.ts'

/** `rootling hosts list`: shows the lines that Rootling added to the hosts file. */
export async function hostsList(
  _args: ArgumentsOf<typeof hostsListSpec>,
  { env, output }: Context,
): Promise<ExitCode> {
  const { file, user, lines, changed } = await listHosts(env)
  const rows = lines.map(({ name, address, owners }) => {
    const shown = owners.map(({ user: who, project }) => {
      const person = who === user ? 'you' : who
      if (project === null) return person
      const notes = [...(who === user ? [] : [person]), ...(isGone(project) ? ['gone'] : [])]
      return notes.length === 0 ? project : `${project} (${notes.join(', ')})`
    })
    return [address, name, shown.join(', ')]
  })
  const projects = lines.flatMap(({ owners }) => owners.flatMap(({ project }) => project ?? []))
  const gone = [...new Set(projects)].filter(isGone)
  output.result(table(rows), { file, user, hosts: lines, changed, gone })
  if (lines.length === 0) output.note(`Rootling has no line in ${quotedPath(file)}.`)
  if (gone.length > 0)
    output.note('To take out what was done for projects that are gone: rootling down --gone')
  if (changed.length > 0)
    output.note(`Changed by somebody since, so theirs now: ${changed.join('; ')}`)
  return exitCodes.ok
}
