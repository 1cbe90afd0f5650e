import path from 'node:path'
import { isFullPath } from '../../src/full-path.ts'
import { isDirectory, isFile, namesIn } from '../file-status.ts'
import type { Machine } from '../machine.ts'
import type { NssDatabase } from './database.ts'
import { chromiumFamily, firefoxFamily, type MozillaBrowser } from './browser-table.ts'
import { readProfiles } from './profiles-ini.ts'

/** Returns the absolute paths of those of these programs that are installed. */
export async function findAll(machine: Machine, programs: readonly string[]): Promise<string[]> {
  const found = programs.flatMap((name) =>
    [name, `/snap/bin/${name}`].map((each) => machine.find(each)),
  )
  return (await Promise.all(found)).filter((program) => program !== null)
}

const isInstalled = async (machine: Machine, programs: readonly string[]): Promise<boolean> =>
  (await findAll(machine, programs)).length > 0

/** Returns every NSS database of the person and of the system, each directory once. */
export async function findNssDatabases(machine: Machine): Promise<NssDatabase[]> {
  const databases = [...(await findChromium(machine)), ...(await findProfiles(machine))]
  if (await isDatabase('/etc/pki/nssdb')) {
    databases.push(await database('/etc/pki/nssdb', 'Shared NSS database', '~', 'root'))
  }
  return [...new Map(databases.map((each) => [each.directory, each])).values()]
}

async function findChromium(machine: Machine): Promise<NssDatabase[]> {
  const { home } = machine.person
  const own = await chromiumDirectory(machine)
  const databases: NssDatabase[] = []
  const programs = chromiumFamily.flatMap((browser) => browser.programs)
  const installed = await isInstalled(machine, programs)
  if (installed || (await isDatabase(own))) {
    databases.push(await database(own, 'Chromium', home, 'person', installed))
  }
  for (const snap of await namesIn(path.join(home, 'snap'))) {
    const current = path.join(home, 'snap', snap, 'current')
    const browser = chromiumFamily.find(({ snaps }) => snaps.includes(snap))
    const directory = await snapDirectory(current)
    const creates = browser !== undefined && (await isDirectory(current))
    if (!creates && !(await isDatabase(directory))) continue
    const title = `${browser?.name ?? snap} (snap)`
    databases.push(await database(directory, title, home, 'person', creates))
  }
  for (const app of await namesIn(path.join(home, '.var/app'))) {
    for (const inner of ['.pki/nssdb', 'data/pki/nssdb']) {
      const directory = path.join(home, '.var/app', app, inner)
      if (await isDatabase(directory)) databases.push(await database(directory, app, home))
    }
  }
  return databases
}

/**
 * Returns the directory of the database in a snap's home directory, by Chromium's rule. Where there
 * is none yet, it is the one that old and new versions read once it exists.
 */
async function snapDirectory(current: string): Promise<string> {
  const [legacy, xdgData] = ['.pki/nssdb', '.local/share/pki/nssdb'].map((inner) =>
    path.join(current, inner),
  ) as [string, string]
  return !(await isDirectory(legacy)) && (await isDatabase(xdgData)) ? xdgData : legacy
}

/**
 * Returns the directory of Chromium's database: `~/.pki/nssdb` if that directory exists, even
 * empty, else the one in the XDG data directory. Chromium never reads both, so creating the first
 * would hide the second.
 */
export async function chromiumDirectory(machine: Machine): Promise<string> {
  const legacy = path.join(machine.person.home, '.pki/nssdb')
  if (await isDirectory(legacy)) return legacy
  return path.join(xdgDirectory(machine, 'XDG_DATA_HOME', '.local/share'), 'pki/nssdb')
}

/** One way in which a browser of the Firefox family is installed. */
interface Installation {
  readonly title: string
  /** The directories in which it may keep profiles.ini. */
  readonly roots: readonly string[]
  readonly isInstalled: () => Promise<boolean>
}

/** Returns every way in which a browser of the Firefox family may be installed. */
function installationsOf(machine: Machine, browser: MozillaBrowser): Installation[] {
  const { name, programs, snaps, flatpaks, legacy, xdg } = browser
  const { home } = machine.person
  const below = (directory: string, configs: readonly string[]): string[] => [
    path.join(directory, legacy),
    ...configs.flatMap((config) => xdg.map((inner) => path.join(directory, config, inner))),
  ]
  const config = xdgDirectory(machine, 'XDG_CONFIG_HOME', '.config')
  return [
    {
      title: name,
      roots: [path.join(home, legacy), ...xdg.map((inner) => path.join(config, inner))],
      isInstalled: () => isInstalled(machine, programs),
    },
    ...snaps.map((snap) => ({
      title: `${name} (snap)`,
      roots: below(path.join(home, 'snap', snap, 'common'), ['.config']),
      isInstalled: () => isDirectory(path.join(home, 'snap', snap)),
    })),
    ...flatpaks.map((app) => ({
      title: `${name} (flatpak)`,
      roots: below(path.join(home, '.var/app', app), ['config', '.config']),
      isInstalled: () => isFlatpak(machine, app),
    })),
  ]
}

/** Whether this flatpak is installed for the person or the machine, or has run. */
async function isFlatpak({ person }: Machine, app: string): Promise<boolean> {
  const places = [
    path.join(person.home, '.var/app', app),
    path.join(person.home, '.local/share/flatpak/app', app),
    path.join('/var/lib/flatpak/app', app),
  ]
  return (await Promise.all(places.map(isDirectory))).includes(true)
}

/** Returns the databases of all profiles of the Firefox family. */
async function findProfiles(machine: Machine): Promise<NssDatabase[]> {
  const databases: NssDatabase[] = []
  for (const browser of firefoxFamily)
    for (const { roots } of installationsOf(machine, browser))
      for (const root of roots) databases.push(...(await profilesIn(machine, root, browser.name)))
  return databases
}

/**
 * Returns a database for each profile that profiles.ini names, and for each other directory beside
 * profiles.ini that holds a database.
 */
async function profilesIn(machine: Machine, root: string, browser: string): Promise<NssDatabase[]> {
  const databases: NssDatabase[] = []
  const named = await readProfiles(root)
  const found = (await namesIn(root)).map((name) => path.join(root, name))
  for (const directory of new Set([...named, ...found])) {
    const isNamed = named.includes(directory) && (await isDirectory(directory))
    if (!isNamed && !(await isDatabase(directory))) continue
    databases.push(await database(directory, browser, machine.person.home, 'person', isNamed))
  }
  return databases
}

/** An installed browser that no database was found for, so that no root reaches it. */
interface PassedOver {
  readonly title: string
  /** Why, and what the person can do, in one sentence. */
  readonly reason: string
}

/**
 * Returns the browsers that are installed and have no database yet, except those that Rootling
 * makes a database for, or that read Firefox's policies.
 */
export async function findPassedOver(machine: Machine): Promise<PassedOver[]> {
  const passedOver: PassedOver[] = []
  for (const browser of firefoxFamily)
    for (const { title, roots, isInstalled } of installationsOf(machine, browser)) {
      const readsPolicies = browser.readsPolicies && !title.endsWith('(flatpak)')
      if (readsPolicies || !(await isInstalled())) continue
      const profiles = await Promise.all(roots.map((root) => profilesIn(machine, root, title)))
      if (profiles.flat().length > 0) continue
      const reason = 'It has no profile yet: start it once, then run rootling install.'
      passedOver.push({ title, reason })
    }
  for (const { name, flatpaks } of chromiumFamily)
    for (const app of flatpaks) {
      const inner = ['.pki/nssdb', 'data/pki/nssdb']
      const places = inner.map((each) => path.join(machine.person.home, '.var/app', app, each))
      const has = (await Promise.all(places.map(isDatabase))).includes(true)
      if (has || !(await isFlatpak(machine, app))) continue
      const reason = 'It has no database yet: open a page in it once, then run rootling install.'
      passedOver.push({ title: `${name} (flatpak)`, reason })
    }
  return passedOver
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
function xdgDirectory(machine: Machine, variable: string, fallback: string): string {
  const value = machine.env[variable]
  const counts = value !== undefined && isFullPath(value) && !machine.person.viaSudo
  return counts ? value : path.join(machine.person.home, fallback)
}

async function isDatabase(directory: string): Promise<boolean> {
  const names = ['cert9.db', 'cert8.db']
  const there = await Promise.all(names.map((name) => isFile(path.join(directory, name))))
  return there.includes(true)
}
