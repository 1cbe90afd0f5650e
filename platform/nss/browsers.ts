import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { isFullPath } from '../../src/full-path.ts'
import { isDirectory, isFile } from '../file-status.ts'
import type { Machine } from '../machine.ts'
import type { NssDatabase } from './database.ts'
import { readProfiles } from './profiles-ini.ts'

/** Programs that read the NSS database that `chromiumDirectory` finds. */
const chromiumFamily = [
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'google-chrome-beta',
  'google-chrome-unstable',
  'brave-browser',
  'microsoft-edge',
  'microsoft-edge-stable',
  'vivaldi',
  'vivaldi-stable',
  'opera',
]

const firefoxFamily = ['firefox', 'firefox-esr', 'firefox-developer-edition', 'firefox-nightly']

/** Returns the absolute path of an installed Firefox; `null`: there is none. */
export function findFirefox(machine: Machine): Promise<string | null> {
  return findAny(machine, firefoxFamily)
}

async function findAny(machine: Machine, programs: readonly string[]): Promise<string | null> {
  for (const name of programs) {
    const found = (await machine.find(name)) ?? (await machine.find(`/snap/bin/${name}`))
    if (found !== null) return found
  }
  return null
}

/** Returns every NSS database of the person and of the system, each directory once. */
export async function findNssDatabases(machine: Machine): Promise<NssDatabase[]> {
  const databases = [...(await findChromium(machine)), ...(await findFirefoxProfiles(machine))]
  if (await isDatabase('/etc/pki/nssdb')) {
    databases.push(await database('/etc/pki/nssdb', 'Shared NSS database', '~', 'root'))
  }
  return [...new Map(databases.map((each) => [each.directory, each])).values()]
}

async function findChromium(machine: Machine): Promise<NssDatabase[]> {
  const { home } = machine.person
  const own = await chromiumDirectory(machine)
  const databases: NssDatabase[] = []
  const installed = (await findAny(machine, chromiumFamily)) !== null
  if (installed || (await isDatabase(own))) {
    databases.push(await database(own, 'Chromium', home, 'person', installed))
  }
  const snap = path.join(home, 'snap/chromium/current')
  if (await isDirectory(snap)) {
    const directory = path.join(snap, '.pki/nssdb')
    databases.push(await database(directory, 'Chromium (snap)', home, 'person', true))
  }
  for (const app of await readNames(path.join(home, '.var/app'))) {
    for (const inner of ['.pki/nssdb', 'data/pki/nssdb']) {
      const directory = path.join(home, '.var/app', app, inner)
      if (await isDatabase(directory)) databases.push(await database(directory, app, home))
    }
  }
  return databases
}

/**
 * Returns the directory of Chromium's database: `~/.pki/nssdb` if that directory exists, even
 * empty, else the one in the XDG data directory. Chromium never reads both, so creating the first
 * would hide the second.
 */
export async function chromiumDirectory(machine: Machine): Promise<string> {
  const legacy = path.join(machine.person.home, '.pki/nssdb')
  if (await isDirectory(legacy)) return legacy
  return path.join(xdg(machine, 'XDG_DATA_HOME', '.local/share'), 'pki/nssdb')
}

/** Returns the directories in which Firefox keeps profiles.ini, for every way to install it. */
function firefoxRoots(machine: Machine): string[] {
  const { home } = machine.person
  return [
    path.join(home, '.mozilla/firefox'),
    path.join(xdg(machine, 'XDG_CONFIG_HOME', '.config'), 'mozilla/firefox'),
    path.join(home, 'snap/firefox/common/.mozilla/firefox'),
    path.join(home, 'snap/firefox/common/.config/mozilla/firefox'),
    path.join(home, '.var/app/org.mozilla.firefox/.mozilla/firefox'),
    path.join(home, '.var/app/org.mozilla.firefox/config/mozilla/firefox'),
  ]
}

/**
 * Returns a database for each profile that profiles.ini names, and for each other directory beside
 * profiles.ini that holds a database.
 */
async function findFirefoxProfiles(machine: Machine): Promise<NssDatabase[]> {
  const databases: NssDatabase[] = []
  for (const root of firefoxRoots(machine)) {
    const named = await readProfiles(root)
    const found = (await readNames(root)).map((name) => path.join(root, name))
    for (const directory of new Set([...named, ...found])) {
      const isNamed = named.includes(directory) && (await isDirectory(directory))
      if (!isNamed && !(await isDatabase(directory))) continue
      databases.push(await database(directory, 'Firefox', machine.person.home, 'person', isNamed))
    }
  }
  return databases
}

async function database(
  directory: string,
  browser: string,
  home: string,
  as: NssDatabase['as'] = 'person',
  create = false,
): Promise<NssDatabase> {
  const hasNew = await isFile(path.join(directory, 'cert9.db'))
  const hasOld = !hasNew && (await isFile(path.join(directory, 'cert8.db')))
  const shown = directory.startsWith(`${home}/`) ? `~${directory.slice(home.length)}` : directory
  return {
    directory,
    scheme: hasOld ? 'dbm' : 'sql',
    title: `${browser} (${shown})`,
    as,
    create,
    firefox: browser === 'Firefox',
  }
}

/**
 * Returns a directory of the XDG specification. The variable does not count when it holds a
 * relative path, or under sudo, where it is root's.
 */
function xdg(machine: Machine, variable: string, fallback: string): string {
  const value = machine.env[variable]
  const counts = value !== undefined && isFullPath(value) && !machine.person.viaSudo
  return counts ? value : path.join(machine.person.home, fallback)
}

async function isDatabase(directory: string): Promise<boolean> {
  const names = ['cert9.db', 'cert8.db']
  const there = await Promise.all(names.map((name) => isFile(path.join(directory, name))))
  return there.includes(true)
}

async function readNames(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => [])
}
