import { homedir } from 'node:os'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import envPaths from 'env-paths'
import { RootlingError } from '../errors.ts'
import type { Directory, Owner } from '../files/owner.ts'
import { isDeviceName } from '../files/windows-name.ts'
import { isFullPath } from '../full-path.ts'

/** The directory of the authority, the record and the lock, and the owner of the files in it. */
export interface StateDirectory extends Directory {
  /** The name of an authority other than the default one; the names of its roots contain it. */
  readonly authority?: string
}

/**
 * Returns the state directory: `ROOTLING_HOME`, or by default the user's data directory according
 * to env-paths. Each named authority has a directory of its own below it. Throws `usage` for a
 * relative path or a bad name.
 */
export function stateDirectory(
  env: Readonly<Record<string, string | undefined>> = process.env,
  owner: Owner | null = null,
  authority?: string,
): StateDirectory {
  const path = baseDirectory(env)
  if (authority === undefined) return { path, owner }
  if (isDeviceName(authority))
    throw new RootlingError('usage', `--ca ${authority} is the name of a device of Windows.`, {
      hint: 'Choose another name: --ca work',
    })
  if (!isAuthorityName(authority))
    throw new RootlingError('usage', `--ca ${authority} cannot be the name of an authority.`, {
      hint: 'Use lower-case letters, digits and hyphens: --ca work',
    })
  return namedAuthority({ path, owner }, authority)
}

export const isAuthorityName = (name: string): boolean => /^[a-z0-9][a-z0-9-]{0,30}$/.test(name)

/** The directory below a state directory that has one for each named authority. */
export const authoritiesPath = ({ path }: StateDirectory): string => join(path, 'authorities')

/** Returns the state directory of a named authority, given that of the default one. */
export function namedAuthority(base: StateDirectory, authority: string): StateDirectory {
  return { path: join(authoritiesPath(base), authority), owner: base.owner, authority }
}

/** Returns the state directory of the default authority, which may be the given one. */
export function defaultAuthority(state: StateDirectory): StateDirectory {
  if (state.authority === undefined) return state
  return { path: dirname(dirname(state.path)), owner: state.owner }
}

function baseDirectory(env: Readonly<Record<string, string | undefined>>): string {
  const override = env['ROOTLING_HOME']
  if (override === undefined || override === '') return dataDirectory()
  if (isFullPath(override)) return override
  throw new RootlingError('usage', `ROOTLING_HOME must be an absolute path, not ${override}.`, {
    hint:
      process.platform === 'win32'
        ? `Set ROOTLING_HOME to ${resolve(override)}`
        : `export ROOTLING_HOME=${resolve(override)}`,
  })
}

const homeWhenLoaded = homedir()

/**
 * Returns the user's data directory. env-paths reads the home directory once, when it is loaded;
 * the home directory of sudo's caller is known only later, and is put in its place here.
 */
function dataDirectory(): string {
  // The XDG specification says to ignore relative paths: with one, keys would be written to the
  // current directory.
  if (!isFullPath(process.env['XDG_DATA_HOME'] ?? '')) delete process.env['XDG_DATA_HOME']
  const { data } = envPaths('rootling', { suffix: '' })
  const below = relative(homeWhenLoaded, data)
  const path = below.startsWith('..') || isAbsolute(below) ? data : join(homedir(), below)
  if (isFullPath(path)) return path
  throw new RootlingError('usage', `HOME must be an absolute path, not ${homedir()}.`, {
    hint: 'Set HOME, or ROOTLING_HOME, to an absolute path',
  })
}
