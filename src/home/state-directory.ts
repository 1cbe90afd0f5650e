import { homedir } from 'node:os'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { RootlingError } from '../errors.ts'
import type { Directory, Owner } from '../files/owner.ts'
import { isDeviceName } from '../files/windows-name.ts'
import { isFullPath } from '../full-path.ts'
import { homeDirectory, refuseForeignDirectory, xdgDirectory } from './home-directory.ts'
import { quotedPath } from '../shell-word.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** The directory of the authority, the record and the lock, and the owner of the files in it. */
export interface StateDirectory extends Directory {
  /** The name of an authority other than the default one; the names of its roots contain it. */
  readonly authority?: string
}

/**
 * Returns the state directory: `ROOTLING_HOME`, or by default a directory in the user's data
 * directory. Each named authority has a directory of its own below it. Throws `usage` for a relative
 * path, a bad name, and where there is no data directory or another user's.
 */
export async function stateDirectory(
  env: Environment = process.env,
  owner: Owner | null = null,
  authority?: string,
): Promise<StateDirectory> {
  const path = await baseDirectory(env, owner)
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

/**
 * Returns the state directory that a caller of the library gave, an absolute path; absent: the one
 * of the command line. Throws `usage`.
 */
export async function givenStateDirectory(home: string | undefined): Promise<StateDirectory> {
  if (home === undefined) return stateDirectory()
  if (isFullPath(home) && !home.includes('\0')) return { path: home, owner: null }
  throw new RootlingError('usage', `home must be an absolute path, not ${quotedPath(home)}.`, {
    hint: "home: path.resolve('state')",
  })
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

async function baseDirectory(env: Environment, owner: Owner | null): Promise<string> {
  const override = env['ROOTLING_HOME']
  if (override === undefined || override === '') {
    const path = await dataDirectory(env)
    if (owner === null) await refuseForeignDirectory(path)
    return path
  }
  if (isFullPath(override)) return override
  throw new RootlingError('usage', `ROOTLING_HOME must be an absolute path, not ${override}.`, {
    hint:
      process.platform === 'win32'
        ? `Set ROOTLING_HOME to ${resolve(override)}`
        : `export ROOTLING_HOME=${resolve(override)}`,
  })
}

/**
 * Returns the directory in which this system's programs keep the data of one user. Throws `usage`
 * where there is none, or where it is another user's.
 */
async function dataDirectory(env: Environment): Promise<string> {
  const chosen = process.platform === 'linux' ? xdgDirectory('XDG_DATA_HOME', env) : null
  if (chosen !== null) return join(chosen, 'rootling')
  const home = homeDirectory(env)
  // env-paths asks for the home directory when it is loaded, which fails where there is none.
  const { default: envPaths } = await import('env-paths')
  // What XDG_DATA_HOME says does not count here, but env-paths would take it. It stays for the
  // program that called, and its children.
  const { XDG_DATA_HOME: before } = process.env
  delete process.env['XDG_DATA_HOME']
  const { data } = envPaths('rootling', { suffix: '' })
  if (before !== undefined) process.env['XDG_DATA_HOME'] = before
  // The home directory of `env` may be another one.
  const below = relative(homedir(), data)
  const path = below.startsWith('..') || isAbsolute(below) ? data : join(home, below)
  if (isFullPath(path)) return path
  throw new RootlingError(
    'usage',
    `The data directory must be an absolute path, not ${quotedPath(path)}.`,
    {
      hint: 'Set ROOTLING_HOME to an absolute path',
    },
  )
}
