import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { scopeFor } from '../authority/coverage.ts'
import { requireScopes } from '../authority/scope.ts'
import { parseBoundedJson } from '../bounded-json.ts'
import { RootlingError } from '../errors.ts'
import { writeFileAtomic } from '../files/atomic.ts'
import { readText } from '../files/read.ts'
import { stampOf } from '../files/stamp.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { toDelete } from '../shell-commands.ts'
import { exclusively } from '../storage/files/unfinished-writes.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import {
  everyHost,
  isSameOwner,
  isSamePlace,
  ownerText,
  parseRouteHost,
  parseRoutePath,
  parseUpstream,
  placeOf,
  wordsOf,
  type Route,
  type RouteOwner,
} from './routes.ts'

/** More would be a fault of a script, and each is looked at for each request that none is for. */
const mostRoutes = 1_000

/** In octets; a file of the most routes is smaller. */
const longest = 4 * 1024 * 1024

const fileOf = (state: StateDirectory): string => join(state.path, 'proxy.json')

/** Returns a text that changes whenever the kept routes do. */
export const stampOfRoutes = (state: StateDirectory): Promise<string> => stampOf(fileOf(state))

/**
 * Reads the routes, without those of commands that have ended since. Throws `corrupt-state` and
 * `file-unreadable`.
 */
export async function readRoutes(state: StateDirectory): Promise<Route[]> {
  return (await readAll(state)).filter(isLive)
}

async function readAll(state: StateDirectory): Promise<Route[]> {
  const text = await readText(fileOf(state), longest)
  if (text === null) return []
  try {
    const { routes } = parseBoundedJson(text) as { readonly routes: Route[] }
    if (routes.length <= mostRoutes && routes.every(isSound)) return routes
  } catch {
    // It is told below.
  }
  throw new RootlingError('corrupt-state', `The proxy's routes ${fileOf(state)} are damaged.`, {
    hint: `${toDelete(fileOf(state))}; then add the routes again`,
  })
}

function isSound({ host, path, to, changeOrigin, owner }: Route): boolean {
  if (![host, path, to].every((each) => typeof each === 'string')) return false
  return (
    (host === everyHost || parseRouteHost(host) === host) &&
    parseRoutePath(path) === path &&
    parseUpstream(to) === to &&
    typeof changeOrigin === 'boolean' &&
    isSoundOwner(owner)
  )
}

function isSoundOwner(owner: RouteOwner): boolean {
  switch (owner.kind) {
    case 'hand':
      return true
    case 'project':
      return typeof owner.project === 'string'
    case 'run':
      return Number.isSafeInteger(owner.pid) && owner.pid > 0 && typeof owner.started === 'string'
    default:
      return false
  }
}

/** Whether a route is still wanted: what a command asked for ends with the command, even by a kill. */
export const isLive = ({ owner }: Route): boolean =>
  owner.kind !== 'run' || isRunning(owner.pid, owner.started)

function isRunning(pid: number, started: string): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    // A process of another user has the number of one that has ended.
    return false
  }
  return started === '' || startOf(pid) === started
}

/**
 * Returns when a process began, in ticks since the system did (proc(5), `starttime`); empty: the system
 * does not say, or the process is gone or was not waited for.
 */
function startOf(pid: number): string {
  if (process.platform !== 'linux') return ''
  try {
    // The name of the program, in parentheses, may hold spaces and parentheses itself.
    const [state, ...rest] = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ')
    return state === 'Z' ? '' : (rest[18] ?? '')
  } catch {
    return ''
  }
}

/** The owner of the routes that live as long as this process. */
export const ownerOfThisProcess = (): RouteOwner => ({
  kind: 'run',
  pid: process.pid,
  started: startOf(process.pid),
})

/** What became of a route that was to be added. */
export interface Adding {
  readonly change: 'added' | 'changed' | 'unchanged'
  /** The route for the same requests that was there; `null`: there was none. */
  readonly before: Route | null
}

/**
 * Keeps a route, in place of one of the same owner for the same requests. Throws `not-permitted` for a
 * host that the authority may not sign, `route-taken` where another owner has a route for these
 * requests, `no-authority` and `usage`.
 */
export async function addRoute(state: StateDirectory, route: Route): Promise<Adding> {
  await checkPermitted(state, [route])
  return change<Adding>(state, (routes) => {
    const before = routes.find((each) => isSamePlace(each, route)) ?? null
    if (before !== null && !isSameOwner(before.owner, route.owner)) throw taken(before)
    if (before !== null && isEqual(before, route))
      return { result: { change: 'unchanged', before }, routes }
    return {
      result: { change: before === null ? 'added' : 'changed', before },
      routes: [...routes.filter((each) => each !== before), route],
    }
  })
}

const isEqual = (a: Route, b: Route): boolean =>
  isSamePlace(a, b) &&
  a.to === b.to &&
  a.changeOrigin === b.changeOrigin &&
  isSameOwner(a.owner, b.owner)

/** The error for requests that already go somewhere else. */
function taken(route: Route): RootlingError {
  const { owner, to } = route
  const place = placeOf(route)
  const sentence = `${place} already leads to ${to}, by ${owner.kind === 'hand' ? 'rootling proxy add' : ownerText(owner)}.`
  return new RootlingError('route-taken', sentence, {
    hint:
      owner.kind === 'run'
        ? 'End that command, or choose another name'
        : `To take it out: rootling proxy remove ${wordsOf(route)}`,
  })
}

/**
 * Takes out the routes for which `isMeant` is true, and returns them. Routes of commands that run are
 * taken out by those alone. Throws `state-unwritable`.
 */
export async function removeRoutes(
  state: StateDirectory,
  isMeant: (route: Route) => boolean,
): Promise<Route[]> {
  if (!(await readRoutes(state)).some(isMeant)) return []
  return change(state, (routes) => ({
    result: routes.filter(isMeant),
    routes: routes.filter((route) => !isMeant(route)),
  }))
}

/** What the routes of a project must become. */
export interface ProjectRoutesPlan {
  readonly add: readonly Route[]
  readonly remove: readonly Route[]
  /** Routes of others that stand in the way. */
  readonly conflicts: readonly Route[]
}

/** Compares the routes that a project wants with those that are kept. */
export async function planProjectRoutes(
  state: StateDirectory,
  project: string,
  wanted: readonly Route[],
): Promise<ProjectRoutesPlan> {
  return compare(await readRoutes(state), project, wanted)
}

function compare(
  routes: readonly Route[],
  project: string,
  wanted: readonly Route[],
): ProjectRoutesPlan {
  const own = routes.filter(({ owner }) => owner.kind === 'project' && owner.project === project)
  return {
    add: wanted.filter((route) => !own.some((each) => isEqual(each, route))),
    remove: own.filter((route) => !wanted.some((each) => isEqual(each, route))),
    conflicts: routes.filter(
      (route) => !own.includes(route) && wanted.some((each) => isSamePlace(each, route)),
    ),
  }
}

/**
 * Makes the routes of a project those that it wants. Throws what `addRoute` throws; nothing is changed
 * then.
 */
export async function setProjectRoutes(
  state: StateDirectory,
  project: string,
  wanted: readonly Route[],
): Promise<void> {
  await checkPermitted(state, wanted)
  await change(state, (routes) => {
    const { add, remove, conflicts } = compare(routes, project, wanted)
    const [conflict] = conflicts
    if (conflict !== undefined) throw taken(conflict)
    return { result: null, routes: [...routes.filter((each) => !remove.includes(each)), ...add] }
  })
}

/** The error for a route of another owner that stands in the way of a project's. */
export const conflictOf = ({ conflicts }: ProjectRoutesPlan): RootlingError | null =>
  conflicts[0] === undefined ? null : taken(conflicts[0])

/** Throws `not-permitted` unless the authority may sign the hosts of all these routes. */
export async function checkPermitted(
  state: StateDirectory,
  routes: readonly Pick<Route, 'host'>[],
): Promise<void> {
  const scopes = await requireScopes(state)
  // The route for every host is for those that get a certificate.
  for (const { host } of routes) if (host !== everyHost) scopeFor(scopes, [parseIdentifier(host)])
}

async function change<T>(
  state: StateDirectory,
  work: (routes: readonly Route[]) => { readonly result: T; readonly routes: readonly Route[] },
): Promise<T> {
  return exclusively(state, async () => {
    const kept = await readAll(state)
    const { result, routes } = work(kept.filter(isLive))
    if (routes.length > mostRoutes)
      throw new RootlingError('usage', `There are ${mostRoutes} routes, and no more fit.`, {
        hint: 'To see them: rootling proxy list',
      })
    if (JSON.stringify(kept) !== JSON.stringify(routes)) await write(state, routes)
    return result
  })
}

async function write(state: StateDirectory, routes: readonly Route[]): Promise<void> {
  const data = `${JSON.stringify({ routes }, null, 2)}\n`
  await writeFileAtomic(fileOf(state), { data, mode: 0o600 }, state.owner)
}
