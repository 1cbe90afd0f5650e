import path from 'node:path'
import { exists, isFile, namesIn, realPathOf } from '../file-status.ts'
import type { Machine } from '../machine.ts'
import { firefoxFamily } from '../nss/browser-table.ts'
import { findAll } from '../nss/browsers.ts'

/** Directories in which a Firefox is installed, as a directory whose name begins with `firefox`. */
export const firefoxPlaces = [
  '/usr/lib',
  '/usr/lib64',
  '/usr/local/lib',
  '/usr/local',
  '/opt',
  '/snap/firefox/current/usr/lib',
] as const

/** Every Firefox on this machine that reads policies below /etc. */
export interface Firefoxes {
  /** Whether there is one, in a directory that is known or not. */
  readonly found: boolean
  /** The directories in which they are installed, where these are known, without links. */
  readonly directories: readonly string[]
}

/**
 * Finds every Firefox of this machine: by the programs on PATH, and in the directories of `places`
 * and of the person's home, since the program on PATH may be a script that starts another.
 */
export async function findFirefoxes(
  machine: Machine,
  places: readonly string[] = firefoxPlaces,
): Promise<Firefoxes> {
  const { home } = machine.person
  const firefox = firefoxFamily.filter(({ readsPolicies }) => readsPolicies)
  const onPath = await findAll(
    machine,
    firefox.flatMap(({ programs }) => programs),
  )
  const candidates = onPath.map(async (program) => {
    return path.dirname((await realPathOf(program)) ?? program)
  })
  for (const place of [...places, home, path.join(home, '.local/share'), path.join(home, 'opt')])
    for (const name of await namesIn(place)) {
      if (!name.startsWith('firefox')) continue
      const found = path.join(place, name)
      candidates.push(realPathOf(found).then((real) => real ?? found))
    }
  const directories: string[] = []
  for (const directory of new Set(await Promise.all(candidates)))
    if (await isInstallation(directory)) directories.push(directory)
  return { found: onPath.length > 0 || directories.length > 0, directories }
}

/** The policies that a Firefox reads when there are none below /etc, in its directory. */
export const ownPolicies = 'distribution/policies.json'

async function isInstallation(directory: string): Promise<boolean> {
  const ini = await isFile(path.join(directory, 'application.ini'))
  return ini || (await exists(path.join(directory, ownPolicies)))
}
