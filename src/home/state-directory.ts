import { homedir } from 'node:os'
import { isAbsolute, join, relative, resolve } from 'node:path'
import envPaths from 'env-paths'
import { RootlingError } from '../errors.ts'
import type { Directory, Owner } from '../files/owner.ts'

/** Where the authority, the record and the lock live, and who is to own what is written there. */
export interface StateDirectory extends Directory {
  /** The authority's own name, where it is not the default one; it stands in its roots' names. */
  readonly authority?: string
}

/**
 * env-paths' data directory for this user; `ROOTLING_HOME` overrides it. Named authorities lie
 * beside the default one, each whole in a directory of its own.
 */
export function stateDirectory(
  env: Readonly<Record<string, string | undefined>> = process.env,
  owner: Owner | null = null,
  authority?: string,
): StateDirectory {
  const path = baseDirectory(env)
  if (authority === undefined) return { path, owner }
  if (!/^[a-z0-9][a-z0-9-]{0,30}$/.test(authority))
    throw new RootlingError('usage', `--ca ${authority} cannot be the name of an authority.`, {
      hint: 'Use lower-case letters, digits and hyphens: --ca work',
    })
  return { path: join(path, 'authorities', authority), owner, authority }
}

function baseDirectory(env: Readonly<Record<string, string | undefined>>): string {
  const override = env['ROOTLING_HOME']
  if (override === undefined || override === '') return dataDirectory()
  if (isAbsolute(override)) return override
  throw new RootlingError('usage', `ROOTLING_HOME must be an absolute path, not ${override}.`, {
    hint: `export ROOTLING_HOME=${resolve(override)}`,
  })
}

const homeWhenLoaded = homedir()

/** env-paths looks the home directory up once, when it is loaded; sudo's caller is found later. */
function dataDirectory(): string {
  // The XDG specification has relative paths ignored: keys would lie wherever the command is run.
  if (!isAbsolute(process.env['XDG_DATA_HOME'] ?? '/')) delete process.env['XDG_DATA_HOME']
  const { data } = envPaths('rootling', { suffix: '' })
  const below = relative(homeWhenLoaded, data)
  const path = below.startsWith('..') || isAbsolute(below) ? data : join(homedir(), below)
  if (isAbsolute(path)) return path
  throw new RootlingError('usage', `HOME must be an absolute path, not ${homedir()}.`, {
    hint: 'Set HOME, or ROOTLING_HOME, to an absolute path',
  })
}
