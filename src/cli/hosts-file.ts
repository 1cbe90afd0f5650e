import { hostsFile } from '../hosts/hosts-file.ts'
import { unresolvedNames } from '../hosts/unresolved.ts'
import type { HostsAccess, HostsRemoval } from '../hosts/change.ts'
import { shellWord } from '../shell-word.ts'
import type { Context } from './context.ts'
import type { Output } from './output.ts'

/** Tells in one note which names this machine does not find, and the command that adds them. */
export function noteUnresolved(
  names: readonly string[],
  env: Context['env'],
  output: Output,
): void {
  const file = hostsFile(env)
  const missing = unresolvedNames(names, file)
  if (missing.length === 0) return
  const [are, them] = missing.length === 1 ? ['is', 'it'] : ['are', 'them']
  output.note(
    `${missing.join(' and ')} ${are} not in ${file}, so this machine finds ${them} only if a DNS server of yours knows ${them}. To add ${them}: rootling hosts add ${missing.map((name) => shellWord(name)).join(' ')}`,
  )
}

/** Returns how a command may change the hosts file; `command` is its own line. */
export const hostsAccess = (
  { interactive, output }: Context,
  noSudo: boolean | undefined,
  command: string,
): HostsAccess => ({
  interactive,
  sudo: noSudo === true ? 'forbidden' : 'allowed',
  command,
  onPrompt: (sentence) => output.note(`To write to this machine’s hosts file, ${sentence}`),
  onWait: (what, seconds) => void output.live(`Waiting for ${what} (${seconds} s)…`),
})

/** Tells what a removal left, and what it would do. `names`: those that were asked for. */
export function reportRemoval(
  { file, remove, changed }: HostsRemoval,
  names: readonly string[] | null,
  dryRun: boolean,
  output: Output,
): void {
  const missing = (names ?? []).filter((name) => !remove.some((line) => line.name === name))
  if (missing.length > 0) output.note(`Rootling has no line of yours for ${missing.join(' and ')}.`)
  if (names === null && remove.length === 0)
    output.note(`Rootling has no line of yours in ${file}.`)
  const projects = remove.flatMap(({ owners }) => owners.flatMap(({ project }) => project ?? []))
  if (projects.length > 0)
    output.note(
      `Some were of a project, whose next rootling up adds them: ${[...new Set(projects)].join(', ')}`,
    )
  if (changed.length > 0)
    output.note(`Left in ${file}, since somebody changed them: ${changed.join('; ')}`)
  if (remove.length > 0)
    output.note(dryRun ? `These lines of ${file} would go.` : `Changed ${file}.`)
}
