import { lstatSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { RootlingError } from '../errors.ts'
import { isTaken } from '../files/own-entries.ts'
import type { Owner } from '../files/owner.ts'
import { passwdHome } from '../home/home-directory.ts'
import { quotedPath, shellWord } from '../shell-word.ts'
import { isOfPerson } from './inside.ts'
import { workspacesOf } from './workspaces.ts'

export const projectFile = 'rootling.json'

/** A directory with a rootling.json. */
export interface Project {
  /** The absolute path of the directory. */
  readonly directory: string
  /** The root of its repository: the directory itself or one above it. */
  readonly root: string
  /** Whether Git keeps the repository. */
  readonly git: boolean
}

export interface Finding {
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** The person that the command works for; `null`: the user of this process. */
  readonly owner: Owner | null
}

/**
 * Finds the nearest rootling.json: in `cwd` or a directory above it, up to the repository's root.
 * Throws `bad-project` where there is none, and as `findProjectIfAny` does.
 */
export async function findProject(finding: Finding): Promise<Project> {
  const found = findProjectIfAny(finding)
  if (found !== null) return found
  const { root } = findRoot(finding)
  const above = root === finding.cwd ? '' : ` or above it, up to ${root}`
  throw new RootlingError(
    'bad-project',
    `There is no ${projectFile} in ${quotedPath(finding.cwd)}${above}.`,
    {
      hint: (await hintOfWorkspaces(finding.cwd)) ?? 'To write one: rootling init',
    },
  )
}

/** Names the packages of a monorepo that have a rootling.json; `null`: there are none. */
async function hintOfWorkspaces(directory: string): Promise<string | null> {
  const paths = (await workspacesOf(directory)).filter((path) =>
    isTaken(join(directory, path, projectFile)),
  )
  const [first] = paths
  if (first === undefined) return null
  return `Of its packages ${paths.join(', ')} ${paths.length === 1 ? 'has' : 'have'} one: cd ${shellWord(first)} && rootling up`
}

/**
 * Finds the nearest rootling.json as `findProject` does; `null`: there is none. Throws `bad-project`
 * where it is not the person's own: in the home directory itself, in a directory of another user, or
 * where every user may replace it.
 */
export function findProjectIfAny(finding: Finding): Project | null {
  const { root, git } = findRoot(finding)
  for (let directory = finding.cwd; ; directory = dirname(directory)) {
    if (isTaken(join(directory, projectFile))) {
      refusePlaceOfProject(directory, finding)
      return { directory, root, git }
    }
    if (directory === root) return null
  }
}

/**
 * Files beside which a package manager works, most of them once for a whole workspace. Where there
 * is no Git, the nearest directory with one of them is the root.
 */
const rootFiles = [
  'package-lock.json',
  'npm-shrinkwrap.json',
  'pnpm-lock.yaml',
  'yarn.lock',
  'bun.lock',
  'bun.lockb',
  'deno.lock',
  'composer.lock',
  'Gemfile.lock',
  'poetry.lock',
  'uv.lock',
  'Cargo.lock',
  'go.mod',
]

/**
 * Returns the root of the repository that a directory is in: the nearest directory with `.git`, a
 * directory or the file of a worktree; else the nearest with a lock file; else the directory itself.
 * Directories that belong to other users, and home directories, are not looked into.
 */
export function findRoot({ cwd, env, owner }: Finding): Pick<Project, 'root' | 'git'> {
  const homes = homesOf(env)
  let packages: string | null = null
  for (let directory = cwd; ; directory = dirname(directory)) {
    const isOwn = isOfPerson(statSync(directory), owner)
    if (directory !== cwd && (!isOwn || homes.has(directory))) break
    if (isTaken(join(directory, '.git'))) return { root: directory, git: true }
    if (packages === null && rootFiles.some((name) => isTaken(join(directory, name))))
      packages = directory
    if (directory === dirname(directory)) break
  }
  return { root: packages ?? cwd, git: false }
}

function homesOf(env: Finding['env']): ReadonlySet<string> {
  const homes = [env['HOME'], env['USERPROFILE'], passwdHome()]
  return new Set(homes.flatMap((home) => (home == null || home === '' ? [] : [resolve(home)])))
}

/** Throws `bad-project` for a directory, or a file in it, that is not the person's own project. */
export function refusePlaceOfProject(directory: string, { env, owner }: Finding): void {
  for (const home of homesOf(env))
    if (home === directory || home.startsWith(directory === '/' ? '/' : `${directory}/`))
      throw new RootlingError(
        'bad-project',
        `${quotedPath(directory)} is or holds the home directory ${quotedPath(home)}, so it is no project.`,
        { hint: `Move ${projectFile} into the directory of a repository` },
      )
  for (const name of ['', projectFile, 'rootling.local.json']) {
    const path = join(directory, name)
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found === undefined) continue
    if (found.isSymbolicLink())
      throw new RootlingError(
        'bad-project',
        `${quotedPath(path)} is a symbolic link, which is not followed.`,
        {
          hint: 'Put the file itself in its place',
        },
      )
    if (process.platform === 'win32') continue
    if (!isOfPerson(found, owner))
      throw new RootlingError('bad-project', `${quotedPath(path)} belongs to another user.`, {
        hint: `If the repository is yours: sudo chown -R ${process.geteuid?.()} ${shellWord(directory)}`,
      })
    if ((found.mode & 0o002) !== 0)
      throw new RootlingError(
        'bad-project',
        `Every user of this machine can change ${quotedPath(path)}.`,
        {
          hint: `chmod o-w ${shellWord(path)}`,
        },
      )
  }
}
