import { isAscii } from 'node:buffer'
import { closeSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { isTaken } from '../files/own-entries.ts'
import { openNoFollow, sizeWithin } from '../files/read.ts'
import type { Project } from './find.ts'

/** In octets; Git's index of two hundred thousand files is smaller. */
const longest = 32 * 1024 * 1024

/**
 * Whether a commit surely takes none of the files that the project's .gitignore names in its last
 * word about them: Git's index does not hold them, and no .gitignore lies between it and them. It
 * spares an `up` that changes nothing the start of Git; `false` says only that Git has to be asked.
 *
 * Only versions 2 and 3 of the index name each file in full (gitformat-index(5)), and a name that
 * occurs anywhere in it counts as held.
 */
export function surelyIgnored(project: Project, paths: readonly string[]): boolean {
  try {
    return isOnlyIgnoreFile(project, paths) && isOutOfIndex(project, paths)
  } catch {
    return false
  }
}

function isOnlyIgnoreFile({ directory }: Project, paths: readonly string[]): boolean {
  // Git follows no link in the place of a .gitignore.
  if (!lstatSync(join(directory, '.gitignore')).isFile()) return false
  return paths.every((path) => {
    for (let at = dirname(join(directory, path)); at !== directory; at = dirname(at))
      if (at === dirname(at) || isTaken(join(at, '.gitignore'))) return false
    return true
  })
}

function isOutOfIndex({ directory, root }: Project, paths: readonly string[]): boolean {
  const git = join(root, '.git')
  // In a worktree or a submodule it is a file that leads elsewhere.
  if (!lstatSync(git).isDirectory()) return false
  // A split index keeps most of its names in another file.
  if (readdirSync(git).some((name) => name.startsWith('sharedindex.'))) return false
  const file = openNoFollow(join(git, 'index'))
  if (file === null) return true
  try {
    sizeWithin(join(git, 'index'), file, longest)
    const index = readFileSync(file)
    const version = index.toString('latin1', 0, 4) === 'DIRC' ? index.readUInt32BE(4) : 0
    // A sparse index, which holds this word, names directories in the place of their files.
    if ((version !== 2 && version !== 3) || index.includes('sdir')) return false
    return paths.every((path) => {
      const name = relative(root, join(directory, path)).replaceAll('\\', '/')
      return isAscii(Buffer.from(name)) && !index.includes(name)
    })
  } finally {
    closeSync(file)
  }
}
