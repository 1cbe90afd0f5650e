import type { IssueOption, Replaced } from '../certificates/replaced.ts'
import { quotedPath, shellWord } from '../shell-word.ts'
import { issueAgain } from '../storage/issue-again.ts'
import { describeHolder } from '../storage/records.ts'
import type { ArgumentsOf } from './command.ts'
import type { Output } from './output.ts'
import { issueSpec } from './specs/certificates.ts'

type Arguments = ArgumentsOf<typeof issueSpec>

/**
 * Warns of what a new certificate left behind of the one that it replaced: its names, its options
 * and its further files, each with the command that has them too.
 */
export function warnOfReplaced(
  args: Arguments,
  { record, losesNames, options, stale }: Replaced,
  output: Output,
): void {
  if (losesNames)
    output.warn(
      `It replaces the certificate for ${describeHolder(record)} in ${quotedPath(record.certPath ?? '')}. To have both: ${issueAgain(record)} --out-dir DIR`,
    )
  if (options.length > 0) {
    const them = options.length === 1 ? 'it' : 'them'
    output.warn(
      `The certificate before had ${options.map(words).join(', ')}; this one has not. To keep ${them}: ${commandWith(args, options)}`,
    )
  }
  for (const file of stale)
    output.warn(
      `${quotedPath(file.path)} still holds the old ${file.holds}. To write it anew: ${commandWith(args, [...options, ...file.options])}`,
    )
}

/** Returns the command that was typed, with further options, without its password. */
function commandWith(args: Arguments, more: readonly IssueOption[]): string {
  const added = new Set(more.map(([name]) => name))
  const typed: IssueOption[] = []
  for (const name of Object.keys(issueSpec.options) as (keyof typeof issueSpec.options)[]) {
    const value = args[name]
    if (value === undefined || value === false || name === 'password' || added.has(name)) continue
    typed.push(value === true ? [name] : [name, String(value)])
  }
  const names = args.positionals.map((name) => shellWord(name))
  return ['rootling issue', ...names, ...[...typed, ...more].map(words)].join(' ')
}

const words = ([name, value]: IssueOption): string =>
  value === undefined ? `--${name}` : `--${name} ${shellWord(value)}`
