import { lstatSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { parseBoundedJson } from '../bounded-json.ts'
import { readText } from '../files/read.ts'
import { isTaken } from '../files/own-entries.ts'
import { parseRouteHost } from '../proxy/routes.ts'
import { findRoot, projectFile, type Finding } from './find.ts'

/** What the names of a repository's apps end with and begin with. */
export interface AppNaming {
  /** One label; `null`: the directory is in no project. */
  readonly project: string | null
  /** The branch of a further worktree of Git, as one label; `null`: it is none. */
  readonly branch: string | null
}

/** In octets, of a package.json and of Git's files. */
const longest = 1024 * 1024

/**
 * Finds out how the apps in a directory are named: by the `name` in the package.json at the root of the
 * repository, or else by the root's directory. Reads a few files, and runs no Git.
 */
export async function appNaming(finding: Finding): Promise<AppNaming> {
  const { root, git } = findRoot(finding)
  const isProject =
    git ||
    root !== finding.cwd ||
    ['package.json', projectFile].some((name) => isTaken(join(root, name)))
  if (!isProject) return { project: null, branch: null }
  const worktree = git ? await worktreeAt(root) : null
  const name = (await nameIn(root)) ?? basename(worktree?.main ?? root)
  return {
    // Of a package @acme/shop, the last part.
    project: labelOf(name.replace(/^.*\//, '')),
    branch: worktree === null ? null : labelOf(worktree.branch),
  }
}

async function nameIn(root: string): Promise<string | null> {
  const text = await readText(join(root, 'package.json'), longest).catch(() => null)
  try {
    const manifest = parseBoundedJson(text ?? 'null') as { readonly name?: unknown } | null
    const name = manifest?.name
    return typeof name === 'string' && labelOf(name) !== null ? name : null
  } catch {
    return null
  }
}

/**
 * Reads which branch a linked worktree has, and where the main one is (gitrepository-layout(5)); `null`:
 * the directory is the main worktree, a submodule, or has one of the usual main branches.
 */
async function worktreeAt(
  root: string,
): Promise<{ readonly branch: string; readonly main: string } | null> {
  const path = join(root, '.git')
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() !== true) return null
  const read = (file: string): Promise<string | null> => readText(file, longest).catch(() => null)
  const directory = /^gitdir: (.+)$/m.exec((await read(path)) ?? '')?.[1]
  if (directory === undefined) return null
  const own = resolve(root, directory)
  if (basename(dirname(own)) !== 'worktrees') return null
  const head = (await read(join(own, 'HEAD'))) ?? ''
  const branch = /^ref: refs\/heads\/(.+)$/m.exec(head)?.[1] ?? basename(own)
  if (['main', 'master'].includes(branch)) return null
  return { branch, main: dirname(dirname(dirname(own))) }
}

/** Returns one label of a host name that is like a text; `null`: no letter of it may be in one. */
function labelOf(text: string): string | null {
  const plain = text
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
  const label = plain
    .slice(0, 64)
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 63)
    .replace(/-+$/, '')
  return label === '' ? null : label
}

/**
 * Returns the host of an app. A name with a dot stays as it is. Any other is one below the project's,
 * `APP.PROJECT.localhost`, so that browsers take the apps of a project for one site; an app that is named
 * like its project is at the project's own name. Throws `bad-name` and `usage`.
 */
export function appHost(name: string, { project, branch }: AppNaming): string {
  const host = parseRouteHost(name)
  if (name.includes('.') || host === 'localhost') return host
  const app = host.replace(/\.localhost$/, '')
  const labels = [branch, app, app === project ? null : project, 'localhost']
  return parseRouteHost(labels.filter((label) => label !== null).join('.'))
}
