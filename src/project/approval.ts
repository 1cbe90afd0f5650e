import { createHash } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import type { ApprovalKind, Danger } from './step.ts'

const approvalKinds: readonly ApprovalKind[] = ['run', 'trust', 'permit', 'hosts', 'proxy']

/** What `--allow` says: kinds of dangers, and roots by the beginning of their fingerprints. */
export interface Allowed {
  readonly kinds: ReadonlySet<string>
  readonly fingerprints: readonly string[]
}

export const nothingAllowed: Allowed = { kinds: new Set(), fingerprints: [] }

/** Parses `--allow run,trust,permit,hosts,proxy,trust:84595e78…`. Throws `usage`. */
export function parseAllowed(list: string): Allowed {
  const kinds = new Set<string>()
  const fingerprints: string[] = []
  for (const word of list.split(',').map((each) => each.trim())) {
    const print = /^trust:([0-9a-f:]+)$/i.exec(word)?.[1]?.replaceAll(':', '').toLowerCase()
    if (print !== undefined && print.length >= fewestDigits && print.length <= 64)
      fingerprints.push(print)
    else if (approvalKinds.some((kind) => kind === word)) kinds.add(word)
    else
      throw new RootlingError('usage', `--allow ${list}: there is nothing to allow by “${word}”.`, {
        hint: `--allow ${approvalKinds.join(',')}; a root without limits by its fingerprint: --allow trust:FINGERPRINT`,
      })
  }
  return { kinds, fingerprints }
}

/** Of a fingerprint, so that nobody makes another root with the same beginning. */
const fewestDigits = 32

/** The hash by which an approval is remembered: that of exactly what was shown. */
export const approvalOf = ({ kind, text }: Danger): string =>
  createHash('sha256').update(`${kind}\n${text}`).digest('hex')

/** Whether `--allow` covers a danger. */
export function isAllowed(danger: Danger, { kinds, fingerprints }: Allowed): boolean {
  const { kind, fingerprint, namedOnly } = danger
  const isNamed = fingerprints.some((print) => fingerprint?.startsWith(print) === true)
  return isNamed || (namedOnly !== true && kinds.has(kind))
}
