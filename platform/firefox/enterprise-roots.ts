import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import type { Machine } from '../machine.ts'
import { readProfiles } from '../nss/profiles-ini.ts'
import { unsupported, type TrustStore } from '../trust-store.ts'

/** Where Firefox keeps profiles.ini on the systems whose own store it reads. */
export function firefoxDirectory({ env, person }: Machine, system: 'darwin' | 'win32'): string {
  if (system === 'darwin') return path.join(person.home, 'Library/Application Support/Firefox')
  return path.join(env['APPDATA'] ?? path.join(person.home, 'AppData/Roaming'), 'Mozilla/Firefox')
}

/**
 * Firefox reads the system's store on macOS and Windows by itself, since 120 by default. A store
 * that cannot be written stands for each profile that turned this off, so that it is told.
 */
export async function findFirefoxWithoutSystemRoots(root: string): Promise<TrustStore[]> {
  const stores: TrustStore[] = []
  for (const profile of await readProfiles(root)) {
    if (await readsSystemRoots(profile)) continue
    stores.push(createUnwritableProfile(profile))
  }
  return stores
}

/** The pref of a profile; user.js is applied over prefs.js at each start. */
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
        'This profile was told not to trust what the system trusts.',
        'open about:config in it and set security.enterprise_roots.enabled to true',
      ),
    list: async () => [],
    has: async () => false,
    install: async () => {},
    uninstall: async () => {},
  }
}
