import { run, timeLimits } from '../platform/command.ts'
import type { Owner } from './paths.ts'
import type { CertificateRecord } from './storage/certificate-store.ts'

export interface HookOutcome {
  /** As the person wrote it for a shell. */
  readonly command: string
  readonly exitCode: number
  /** The end of what it wrote to standard error. */
  readonly stderr: string
}

/**
 * Runs the `--on-renew` commands of renewed certificates, each once, one after the other. With
 * sudo as the person: the record is theirs, and whatever writes to it must not become root.
 */
export async function runRenewHooks(
  renewed: readonly CertificateRecord[],
  env: Readonly<Record<string, string | undefined>>,
  owner: Owner | null = null,
): Promise<HookOutcome[]> {
  const outcomes: HookOutcome[] = []
  for (const command of new Set(renewed.flatMap(({ onRenew }) => onRenew ?? []))) {
    // The one shell string that is run: the person's own, kept in a file of theirs with mode 0600.
    const options = { env, timeLimit: timeLimits.change, ...owner }
    const { exitCode, stderr } = await run('/bin/sh', ['-c', command], options)
    outcomes.push({ command, exitCode, stderr: stderr.trim().slice(-500) })
  }
  return outcomes
}
