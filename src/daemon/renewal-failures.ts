import { join } from 'node:path'
import { writeFileAtomic } from '../files/atomic.ts'
import { readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'

/** A certificate that could not be renewed, or whose command failed after that. */
export interface RenewalFailure {
  readonly serialNumber: string
  readonly names: readonly string[]
  /** A sentence or two. */
  readonly reason: string
  /** What to type. */
  readonly hint?: string
  /** The `--on-renew` command, where that is what failed. */
  readonly command?: string
  /** How often, one after the other. */
  readonly failures: number
  /** ISO 8601, UTC. */
  readonly nextAttempt: string
}

const fileOf = (state: StateDirectory): string => join(state.path, 'renewal.json')

/** What failed when the daemon last tried; a damaged file counts as none. */
export async function readFailures(state: StateDirectory): Promise<RenewalFailure[]> {
  try {
    const value: unknown = JSON.parse((await readText(fileOf(state))) ?? '[]')
    return Array.isArray(value) ? value.filter(isFailure) : []
  } catch {
    return []
  }
}

function isFailure(value: Partial<RenewalFailure> | null): value is RenewalFailure {
  return (
    typeof value?.serialNumber === 'string' &&
    Array.isArray(value.names) &&
    typeof value.reason === 'string' &&
    Number.isInteger(value.failures) &&
    !Number.isNaN(Date.parse(value.nextAttempt ?? ''))
  )
}

export async function writeFailures(
  state: StateDirectory,
  failures: readonly RenewalFailure[],
): Promise<void> {
  const data = JSON.stringify(failures)
  await writeFileAtomic(fileOf(state), { data, mode: 0o600 }, state.owner)
}

/** A line for people. */
export function describeFailure({ names, reason, hint, command }: RenewalFailure): string {
  const what = command === undefined ? 'could not be renewed' : 'was renewed, but'
  return `${names.join(', ')} ${what}: ${reason}${hint === undefined ? '' : ` → ${hint}`}`
}
