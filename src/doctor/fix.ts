import { closeSync, constants, fchmodSync, fstatSync, openSync } from 'node:fs'
import type { HookOutcome } from '../certificates/renew-hooks.ts'
import { newlyMade, renew, type Renewal } from '../certificates/renew.ts'
import { RootlingError } from '../errors.ts'
import { asOwner } from '../files/as-owner.ts'
import type { Owner } from '../files/owner.ts'
import { installAuthority, type Installation } from '../trust/install.ts'
import { allWell } from '../trust/stores.ts'
import type { StoreOptions } from '../trust/machine-stores.ts'
import type { TrustWorld } from '../trust/world.ts'
import type { Finding, Fix } from './codes.ts'
import { quotedPath } from '../shell-word.ts'

/** What became of the findings that one action mends. */
export interface Fixed {
  readonly action: Fix['action']
  /** The subjects of the findings. */
  readonly subjects: readonly string[]
  readonly done: boolean
  /** Why it was not done, in one sentence. */
  readonly reason?: string
  readonly installation?: Installation
  readonly renewals?: readonly Renewal[]
  readonly hooks?: readonly HookOutcome[]
}

/**
 * Mends the findings that are safe to mend, each by the function of the command in its remedy. One
 * that fails does not stop the others.
 */
export async function fixFindings(
  world: TrustWorld,
  options: StoreOptions,
  findings: readonly Finding[],
): Promise<Fixed[]> {
  const fixed: Fixed[] = []
  for (const action of ['chmod', 'install', 'renew'] as const) {
    const meant = findings.filter(({ fix }) => fix?.action === action)
    if (meant.length === 0) continue
    const subjects = [...new Set(meant.map(({ subject }) => subject))]
    const fixes = meant.flatMap(({ fix }) => (fix === undefined ? [] : [fix]))
    try {
      fixed.push({ action, subjects, ...(await act(world, options, fixes)) })
    } catch (error) {
      if (!(error instanceof RootlingError)) throw error
      fixed.push({ action, subjects, done: false, reason: error.message })
    }
  }
  return fixed
}

async function act(
  world: TrustWorld,
  options: StoreOptions,
  fixes: readonly Fix[],
): Promise<Omit<Fixed, 'action' | 'subjects'>> {
  const serialNumbers = fixes.flatMap((fix) => (fix.action === 'renew' ? [fix.serialNumber] : []))
  if (serialNumbers.length > 0) return renewAll(world, serialNumbers)
  const keys = fixes.flatMap((fix) => (fix.action === 'chmod' ? [fix] : []))
  if (keys.length === 0) {
    const installation = await installAuthority(world, options, null)
    return { installation, done: allWell(installation.outcomes) }
  }
  const failures: string[] = []
  for (const { path, mode } of keys) {
    const fault = closeToOthers(path, mode, world.state.owner)
    if (fault !== null) failures.push(`The mode of ${quotedPath(path)} was not changed: ${fault}.`)
  }
  return failures.length === 0 ? { done: true } : { done: false, reason: failures.join(' ') }
}

/**
 * Gives a key file its mode, with the person's rights also under sudo; `null`: it is done. The path is
 * what the record says, which any program of theirs may have written, so only a regular file that
 * they own is touched, through no link.
 */
export function closeToOthers(path: string, mode: number, owner: Owner | null): string | null {
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
  try {
    return asOwner(owner, () => {
      const file = openSync(path, flags)
      try {
        const status = fstatSync(file)
        if (!status.isFile()) return 'it is no regular file'
        const uid = process.geteuid?.()
        if (uid !== undefined && status.uid !== uid) return 'another user owns it'
        fchmodSync(file, mode)
        return null
      } finally {
        closeSync(file)
      }
    })
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    return code === 'ELOOP' ? 'it is a symbolic link' : `it cannot be opened (${code})`
  }
}

async function renewAll(
  { state, now, env }: TrustWorld,
  names: readonly string[],
): Promise<Omit<Fixed, 'action' | 'subjects'>> {
  const renewals = await renew(state, { which: 'named', names }, {}, now())
  const made = newlyMade(renewals)
  const isHooked = made.some(({ onRenew }) => onRenew !== undefined)
  const hooks = isHooked
    ? await (
        await import('../certificates/renew-hooks.ts')
      ).runRenewHooks(made, { env, owner: state.owner })
    : []
  const lost = renewals.find(({ record }) => record === undefined)
  const failed = hooks.some(({ failure }) => failure !== null)
  return {
    renewals,
    hooks,
    done: lost === undefined && !failed,
    ...(lost?.reason === undefined ? {} : { reason: lost.reason }),
  }
}
