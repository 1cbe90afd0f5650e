import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { issue, type IssueRequest } from '../../src/certificates/issue.ts'
import { startRenewal, type RenewalLoop, type RenewalOptions } from '../../src/daemon/renewal.ts'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import type { CertificateRecord } from '../../src/storage/records.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'

export const minute = 60_000
export const day = 24 * 60 * minute

/** An authority, a directory for certificates, and a clock that jumps. */
export interface RenewalWorld {
  readonly state: StateDirectory
  readonly directory: string
  readonly now: () => Date
  /** Moves the clock by milliseconds, also back. */
  readonly jump: (milliseconds: number) => void
  /** For 90 days, in files named after the name. */
  readonly issue: (name: string, more?: Partial<IssueRequest>) => Promise<CertificateRecord>
  readonly path: (name: string) => string
  /** The certificate in a name's file. */
  readonly leaf: (name: string) => Promise<X509Certificate>
  /** The daemon's renewal; its timer does nothing unless a test says how often. */
  readonly loop: (options?: Partial<RenewalOptions>) => Promise<RenewalLoop>
  /** What it logged. */
  readonly lines: readonly string[]
}

export async function renewalWorld(): Promise<RenewalWorld> {
  const [state, directory] = [await temporaryState(), await temporaryDirectory()]
  let at = Date.parse('2027-03-01T12:00:00Z')
  const now = () => new Date(at)
  await ensureAuthority(state, now())
  const lines: string[] = []
  const path = (name: string): string => join(directory, name)
  return {
    state,
    directory,
    now,
    jump: (milliseconds) => void (at += milliseconds),
    path,
    lines,
    issue: async (name, more = {}) => {
      const request = { names: [name], days: 90, files: { outDir: directory }, ...more }
      return (await issue(state, request, now())).record
    },
    leaf: async (name) => new X509Certificate(await readFile(path(`${name}.pem`))),
    loop: async (options = {}) => {
      const log = (line: string): void => void lines.push(line)
      const never = { checkMilliseconds: day }
      const loop = await startRenewal({ state, now, log, env: process.env, ...never, ...options })
      onTestFinished(() => loop.stop())
      return loop
    },
  }
}

/** Whether a certificate can be used at that time. */
export function isValid({ validFrom, validTo }: X509Certificate, at: Date): boolean {
  return new Date(validFrom) <= at && at <= new Date(validTo)
}
