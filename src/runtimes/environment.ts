import { isAbsolute, resolve } from 'node:path'
import type { StateDirectory } from '../home/state-directory.ts'
import { ensureBundle, ensureGitConfig, findSources, isBundle, namedBefore } from './bundles.ts'
import { variables, type Environment } from './variables.ts'

/**
 * What to change in an environment: the new value of each variable; `null`: it is taken out.
 */
export type Changes = ReadonlyMap<string, string | null>

/**
 * The variable in which an environment remembers what others were before that name no file, as JSON,
 * so that `--unset` can bring that back. What a variable named before that names a file is in the
 * file.
 */
export const memoryName = 'ROOTLING_ENV'

export interface EnvironmentOptions {
  readonly state: StateDirectory
  readonly env: Environment
  /** Returns the directory that relative paths in `env` start from; default: the current one. */
  readonly cwd?: () => string
  /** Whether to set also the variables that name a file in the place of all other roots. */
  readonly replace: boolean
  /** Whether the files that the variables name are not made, only looked at. */
  readonly planOnly?: boolean
}

/**
 * Returns the changes that make programs trust the roots of an authority, and makes the files that
 * the variables name. Changes of an earlier call in `env` are taken back first. `problems` are
 * sentences about roots that a variable named before and that cannot be read; `stale` are files that
 * `planOnly` left out of date. Throws
 * `no-authority`, `corrupt-state`, `state-unwritable`.
 */
export async function environmentFor({
  state,
  env,
  cwd = () => process.cwd(),
  replace,
  planOnly = false,
}: EnvironmentOptions): Promise<{
  readonly changes: Changes
  readonly problems: string[]
  readonly stale: readonly string[]
}> {
  const stale: string[] = []
  const sources = { ...(await findSources(state)), stale: planOnly ? stale : undefined }
  const taken = changesBack(state, env)
  const base = withChanges(env, taken)
  const memory: Record<string, string | null> = {}
  const changes = new Map(taken)
  const problems: string[] = []
  for (const variable of variables) {
    const { name, effect, where, value } = variable
    if ((effect === 'replaces' && !replace) || where?.(base) === false) continue
    const before = valueOf(base, name)
    if (value !== undefined) {
      const next = value(before)
      if (next === null) continue
      changes.set(name, next)
      memory[name] = before === '' ? null : before
    } else {
      const named = before === '' || isAbsolute(before) ? before : resolve(cwd(), before)
      const kind = effect === 'adds' ? 'roots' : 'bundle'
      const { path, problem } = await ensureBundle(state, kind, named || null, sources)
      if (problem !== null) problems.push(`${name} is set, but ${problem}.`)
      changes.set(name, path)
    }
  }
  const count = gitCount(base)
  if (count !== null) {
    changes.set('GIT_CONFIG_COUNT', String(count + 1))
    changes.set(`GIT_CONFIG_KEY_${count}`, 'include.path')
    changes.set(`GIT_CONFIG_VALUE_${count}`, await ensureGitConfig(state, sources))
  }
  changes.set(memoryName, JSON.stringify(memory))
  return { changes, problems, stale }
}

/**
 * Returns the changes that take back those of `environmentFor` in an environment. What was set
 * since, by others, stays.
 */
export function changesBack(state: StateDirectory, env: Environment): Changes {
  const changes = new Map<string, string | null>()
  const memory = memoryOf(env)
  for (const { name, value } of variables) {
    const now = valueOf(env, name)
    const before = memory[name]
    if (value === undefined) {
      if (isBundle(state, now)) changes.set(name, namedBefore(now))
    } else if (before !== undefined && value(before ?? '') === now) changes.set(name, before)
  }
  for (const [name, value] of gitChangesBack(state, env)) changes.set(name, value)
  if (valueOf(env, memoryName) !== '') changes.set(memoryName, null)
  return changes
}

/** Reads what the variables were before; what is no such memory counts as an empty one. */
function memoryOf(env: Environment): Readonly<Record<string, string | null | undefined>> {
  try {
    const memory: unknown = JSON.parse(valueOf(env, memoryName) || '{}')
    const isMemory = (value: unknown): boolean => value === null || typeof value === 'string'
    if (typeof memory === 'object' && memory !== null && Object.values(memory).every(isMemory))
      return memory as Record<string, string | null>
  } catch {
    // Another program wrote it.
  }
  return {}
}

/** How many settings of git an environment has; `null`: the number is none that git takes. */
function gitCount(env: Environment): number | null {
  const text = valueOf(env, 'GIT_CONFIG_COUNT')
  if (text === '') return 0
  return /^\d{1,4}$/.test(text) ? Number(text) : null
}

/** Takes our settings of git out, and moves those behind them forward. */
function gitChangesBack(state: StateDirectory, env: Environment): [string, string | null][] {
  const count = gitCount(env) ?? 0
  const settings = Array.from({ length: count }, (_, i) => ({
    key: env[`GIT_CONFIG_KEY_${i}`] ?? '',
    value: env[`GIT_CONFIG_VALUE_${i}`] ?? '',
  }))
  const kept = settings.filter(
    ({ key, value }) => key !== 'include.path' || !isBundle(state, value),
  )
  if (kept.length === count) return []
  const changes: [string, string | null][] = [
    ['GIT_CONFIG_COUNT', kept.length === 0 ? null : String(kept.length)],
  ]
  settings.forEach((_, i) => {
    const { key = null, value = null } = kept[i] ?? {}
    changes.push([`GIT_CONFIG_KEY_${i}`, key], [`GIT_CONFIG_VALUE_${i}`, value])
  })
  return changes
}

/** Returns an environment with changes made. */
export function withChanges(env: Environment, changes: Changes): Environment {
  const changed: Record<string, string | undefined> = { ...env }
  for (const [name, value] of changes) {
    for (const spelling of spellingsOf(env, name)) delete changed[spelling]
    if (value !== null) changed[name] = value
  }
  return changed
}

/** Returns the value of a variable; an empty text: it is not set. */
const valueOf = (env: Environment, name: string): string =>
  spellingsOf(env, name)
    .map((spelling) => env[spelling] ?? '')
    .find((value) => value !== '') ?? ''

/** The names under which an environment has a variable: Windows does not tell letters' case. */
function spellingsOf(env: Environment, name: string): string[] {
  if (process.platform !== 'win32') return [name]
  return Object.keys(env).filter((each) => each.toUpperCase() === name.toUpperCase())
}
