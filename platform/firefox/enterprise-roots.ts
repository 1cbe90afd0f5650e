import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import type { Machine } from '../machine.ts'
import { firefoxFamily, type MozillaBrowser } from '../nss/browser-table.ts'
import { readProfiles } from '../nss/profiles-ini.ts'
import { unsupported, type TrustStore } from '../trust-store.ts'

/** Returns the directory in which a browser's profiles.ini is on macOS or Windows. */
function profilesDirectory({ env, person }: Machine, elsewhere: Elsewhere, system: System): string {
  if (system === 'darwin') return path.join(person.home, 'Library', elsewhere.darwin)
  return path.join(env['APPDATA'] ?? path.join(person.home, 'AppData/Roaming'), elsewhere.win32)
}

type System = 'darwin' | 'win32'
type Elsewhere = MozillaBrowser['elsewhere']

/**
 * Finds the profiles of the Firefox family that do not trust the roots of the system. On macOS and
 * Windows these browsers read the system's store, Firefox since version 120 by default. Each profile
 * that turned this off is returned as a store that cannot be written, so that reports name it.
 */
export async function findProfilesWithoutSystemRoots(
  machine: Machine,
  system: System,
): Promise<TrustStore[]> {
  const stores: TrustStore[] = []
  for (const { name, elsewhere } of firefoxFamily)
    for (const profile of await readProfiles(profilesDirectory(machine, elsewhere, system)))
      if (!(await readsSystemRoots(profile))) stores.push(createUnwritableProfile(name, profile))
  return stores
}

/**
 * Whether the profile trusts the system's roots by its preference. user.js is read after prefs.js,
 * because Firefox applies it over prefs.js at each start.
 */
async function readsSystemRoots(profile: string): Promise<boolean> {
  let reads = true
  for (const name of ['prefs.js', 'user.js']) {
    const file = path.join(profile, name)
    const size = await stat(file).then(
      (found) => (found.isFile() ? found.size : 0),
      () => 0,
    )
    if (size === 0 || size > 10_000_000) continue
    reads = systemRootsPreference(await readFile(file, 'utf8').catch(() => '')) ?? reads
  }
  return reads
}

/** Returns what the preferences of a profile say last of the system's roots; `null`: nothing. */
export function systemRootsPreference(text: string): boolean | null {
  const last = [...text.matchAll(preference)].at(-1)
  return last === undefined ? null : last[1] === 'true'
}

const preference =
  /^[ \t]*user_pref\(\s*["']security\.enterprise_roots\.enabled["']\s*,\s*(true|false)\s*\)/gm

function createUnwritableProfile(browser: string, profile: string): TrustStore {
  return {
    id: `firefox-profile:${profile}`,
    kind: 'nss',
    title: `${browser} (${path.basename(profile)})`,
    availability: async () =>
      unsupported(
        'This profile has turned off trust in the roots of the system.',
        'Open about:config in it and set security.enterprise_roots.enabled to true',
      ),
    list: async () => [],
    has: async () => false,
    install: async () => {},
    uninstall: async () => {},
  }
}
