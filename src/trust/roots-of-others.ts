import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { allFormsOf } from '../../platform/trust-store.ts'
import type { Person } from '../../platform/person.ts'
import { hasCode } from '../files/errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { otherAuthorities } from '../storage/files/state-layout.ts'
import { storedRoot } from './stored-root.ts'

/** What can be learnt of the authorities of the other users of this machine. */
export interface RootsOfOthers {
  /** The SHA-256 of the roots that can be read, of authorities in their usual place. */
  readonly fingerprints: ReadonlySet<string>
  /** Whether some user's authorities cannot be read, so that a root may belong to one of them. */
  readonly unknown: boolean
}

/**
 * Looks for the authorities of the other users of this machine where Rootling keeps them by default.
 * Only root can read most of them. Windows is not asked: its store is of one user.
 */
export async function rootsOfOthers(person: Pick<Person, 'home' | 'uid'>): Promise<RootsOfOthers> {
  const fingerprints = new Set<string>()
  let unknown = false
  for (const home of otherHomes(person)) {
    const base = { path: join(home, place), owner: null }
    for (const state of [base, ...(await otherAuthorities(base).catch(() => []))]) {
      const names = scopesIn(state)
      if (names === null) unknown = true
      for (const name of names ?? []) {
        const root = await storedRoot(state, name)
        if (root === null) unknown = true
        else for (const { fingerprint } of allFormsOf(root)) fingerprints.add(fingerprint)
      }
    }
  }
  return { fingerprints, unknown }
}

const place =
  process.platform === 'darwin' ? 'Library/Application Support/rootling' : '.local/share/rootling'

/** The names of the scopes; `null`: nobody but their owner may read them. */
function scopesIn({ path }: StateDirectory): string[] | null {
  try {
    return readdirSync(join(path, 'scopes'))
  } catch (error) {
    return hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR') ? [] : null
  }
}

/** The home directories of the people who use this machine, and of root, without that of `person`. */
function otherHomes({ home: own, uid }: Pick<Person, 'home' | 'uid'>): string[] {
  if (process.platform === 'win32') return []
  const homes =
    process.platform === 'darwin'
      ? namesIn('/Users').map((name) => join('/Users', name))
      : linesOf('/etc/passwd').flatMap((line) => {
          const [, , id = '', , , home = ''] = line.split(':')
          const isPerson = id === '0' || (Number(id) >= 1000 && Number(id) < 60_000)
          return isPerson && Number(id) !== uid && home.startsWith('/') ? [home] : []
        })
  return homes.filter((home) => home !== own)
}

const namesIn = (path: string): string[] => orNone(() => readdirSync(path))
const linesOf = (path: string): string[] => orNone(() => readFileSync(path, 'utf8').split('\n'))

function orNone(read: () => string[]): string[] {
  try {
    return read()
  } catch {
    return []
  }
}
