import envPaths from 'env-paths'
import { isAbsolute, resolve } from 'node:path'
import { RootlingError } from './errors.ts'

/** Where the authority, the record and the lock live, and who is to own what is written there. */
export interface StateDirectory {
  readonly path: string
  /** With sudo the person who typed it; `null`: files keep this process's owner. */
  readonly owner: Owner | null
}

export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** env-paths' data directory for this user; `ROOTLING_HOME` overrides it. */
export function stateDirectory(
  env: Readonly<Record<string, string | undefined>> = process.env,
  owner: Owner | null = null,
): StateDirectory {
  const override = env['ROOTLING_HOME']
  if (override === undefined || override === '')
    return { path: envPaths('rootling', { suffix: '' }).data, owner }
  if (!isAbsolute(override))
    throw new RootlingError('usage', `ROOTLING_HOME must be an absolute path, not ${override}.`, {
      hint: `export ROOTLING_HOME=${resolve(override)}`,
    })
  return { path: override, owner }
}
