import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseBoundedJson } from '../bounded-json.ts'
import { readText } from '../files/read.ts'

/** How many directories of a monorepo are looked into. */
const most = 30

/** In octets; such a file is far smaller. */
const longest = 256 * 1024

/**
 * Returns the directories of the packages of a monorepo, relative to its root and with `/`, as
 * pnpm-workspace.yaml and the `workspaces` of package.json name them; in another directory, none.
 * Only plain paths and those that end with `/*` or `/**` count, of which one level is read. Links
 * are not followed.
 */
export async function workspacesOf(root: string): Promise<string[]> {
  const patterns = [...(await patternsOfPnpm(root)), ...(await patternsOfPackage(root))]
  const found = new Set<string>()
  for (const pattern of patterns.slice(0, most)) {
    const [, path = '', star] =
      /^(?:\.\/)?([\w@.-]+(?:\/[\w@.-]+)*)(\/\*\*?)?\/?$/.exec(pattern) ?? []
    const parts = path.split('/')
    if (path === '' || parts.includes('..') || parts.includes('.')) continue
    if (!parts.every((_, i) => isDirectory(join(root, ...parts.slice(0, i + 1))))) continue
    if (star === undefined) found.add(path)
    else for (const name of directoriesIn(join(root, path))) found.add(`${path}/${name}`)
  }
  return [...found].slice(0, most)
}

async function patternsOfPnpm(root: string): Promise<string[]> {
  const text = await textAt(join(root, 'pnpm-workspace.yaml'))
  const [, list = ''] =
    /^packages:[ \t]*\r?\n((?:[ \t]*(?:-[^\n]*|#[^\n]*)?\r?\n)*)/m.exec(`${text}\n`) ?? []
  return [...list.matchAll(/^\s*-\s*(["']?)([^"'\s#]+)\1/gm)].map(([, , pattern = '']) => pattern)
}

async function patternsOfPackage(root: string): Promise<string[]> {
  try {
    const manifest = parseBoundedJson(await textAt(join(root, 'package.json'))) as {
      readonly workspaces?: unknown
    } | null
    const workspaces = manifest?.workspaces
    const list = Array.isArray(workspaces)
      ? workspaces
      : (workspaces as { readonly packages?: unknown } | null | undefined)?.packages
    return Array.isArray(list) ? list.filter((each) => typeof each === 'string') : []
  } catch {
    return []
  }
}

const textAt = async (path: string): Promise<string> =>
  (await readText(path, longest).catch(() => null)) ?? ''

const isDirectory = (path: string): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true

const directoriesIn = (path: string): string[] =>
  readdirSync(path, { withFileTypes: true })
    .filter(
      (entry) =>
        entry.isDirectory() && !entry.name.startsWith('.') && entry.name !== 'node_modules',
    )
    .map(({ name }) => name)
    .toSorted()
    .slice(0, most)
