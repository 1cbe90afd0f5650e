import { chmod } from 'node:fs/promises'
import type { HookOutcome } from '../certificates/renew-hooks.ts'
import { newlyMade, renew, type Renewal } from '../certificates/renew.ts'
import { RootlingError } from '../errors.ts'
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
  for (const { path, mode } of keys)
    await chmod(path, mode).catch((error: NodeJS.ErrnoException) => {
      failures.push(`The mode of ${quotedPath(path)} cannot be changed (${error.code ?? ''}).`)
    })
  return failures.length === 0 ? { done: true } : { done: false, reason: failures.join(' ') }
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
