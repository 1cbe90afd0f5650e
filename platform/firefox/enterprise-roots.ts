import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import type { Machine } from '../machine.ts'
import { readProfiles } from '../nss/profiles-ini.ts'
import { unsupported, type TrustStore } from '../trust-store.ts'

/**
 * Returns the directory in which Firefox keeps profiles.ini on macOS and Windows, where Firefox
 * reads the system's store.
 */
export function firefoxDirectory({ env, person }: Machine, system: 'darwin' | 'win32'): string {
  if (system === 'darwin') return path.join(person.home, 'Library/Application Support/Firefox')
  return path.join(env['APPDATA'] ?? path.join(person.home, 'AppData/Roaming'), 'Mozilla/Firefox')
}

/**
 * Finds the Firefox profiles that do not trust the roots of the system. On macOS and Windows
 * Firefox reads the system's store, since version 120 by default. Each profile that turned this off
 * is returned as a store that cannot be written, so that reports name it.
 */
export async function findFirefoxWithoutSystemRoots(root: string): Promise<TrustStore[]> {
  const stores: TrustStore[] = []
  for (const profile of await readProfiles(root)) {
    if (await readsSystemRoots(profile)) continue
    stores.push(createUnwritableProfile(profile))
  }
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
    const text = await readFile(file, 'utf8').catch(() => '')
    for (const [, value] of text.matchAll(preference)) reads = value === 'true'
  }
  return reads
}

const preference =
  /^[ \t]*user_pref\(\s*["']security\.enterprise_roots\.enabled["']\s*,\s*(true|false)\s*\)/gm

function createUnwritableProfile(profile: string): TrustStore {
  return {
    id: `firefox-profile:${profile}`,
    kind: 'nss',
    title: `Firefox (${path.basename(profile)})`,
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
