import { lstatSync, type Stats } from 'node:fs'
import { dirname, join } from 'node:path'
import { RootlingError } from '../errors.ts'
import type { Owner } from '../files/owner.ts'
import { makePrivateDirectory } from '../files/private-directory.ts'
import { isDeviceName } from '../files/windows-name.ts'
import type { StateDirectory } from '../home/state-directory.ts'

/*
 * The paths in rootling.json come from whoever wrote the repository. Each leads to a file below the
 * directory of rootling.json, through real directories alone, and never to a file by which another
 * program is steered.
 */

/** The last parts of paths that are never written, in lower case. */
const steering = new Set(['package.json', 'rootling.json', 'rootling.local.json', '.envrc'])

/** Returns what is wrong with a path, by its text alone; `null`: nothing. */
export function pathFault(text: string): string | null {
  if (/^[/\\~]|^[A-Za-z]:/.test(text)) return 'leads out of the repository: write a relative path'
  const parts = text.replace(/^\.\//, '').split('/')
  if (parts.includes('..')) return 'leads out of the directory of this file by two dots'
  if (parts.some((part) => part === '' || part === '.')) return 'has an empty part'
  if (text.length > 500) return 'is too long'
  // Windows takes these for separators, streams, devices and short names.
  if (/[\\:*?"<>|]/.test(text)) return 'holds a character that no file name has everywhere'
  if (/\$\{?\w|%\w+%/.test(text)) return 'holds a variable, and variables are not expanded here'
  if (parts.some((part) => /[. ]$|^ |~\d/.test(part) || isDeviceName(part)))
    return 'has a part that Windows takes for another'
  if (text !== text.normalize('NFC')) return 'is written with letters that have another form'
  // File systems that fold letters take .GIT and .ｇｉｔ for .git.
  const folded = parts.map((part) => part.normalize('NFKC').toLowerCase())
  if (folded.some((part) => /^\.(?:git|hg|svn|jj)/.test(part)))
    return 'leads to a file of the version control'
  return steering.has(folded.at(-1) ?? '') ? 'is a file that Rootling never writes' : null
}

/**
 * Returns what is wrong with the place to which a path leads now; `null`: nothing. The path has no
 * fault by its text. `owner` is the person for whom root works.
 */
export function placeFault(directory: string, text: string, owner: Owner | null): string | null {
  const parts = text.split('/')
  let path = directory
  for (const [i, part] of parts.entries()) {
    path = join(path, part)
    const found = look(path)
    if (found === undefined) return null
    if (found.isSymbolicLink()) return `leads through the symbolic link ${path}`
    const isLast = i === parts.length - 1
    if (!isLast && !found.isDirectory()) return `leads through ${path}, which is no directory`
    if (isLast && !found.isFile()) return `is at ${path}, which is no regular file`
    if (!isOfPerson(found, owner)) return `leads to ${path}, which belongs to another user`
  }
  return null
}

function look(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch {
    // What a component hides is found out by the write itself.
    return undefined
  }
}

/**
 * Whether a file belongs to this process's user, to root, or to the person for whom root works. That
 * person is `owner`, whom `findPerson` found by what sudo, doas or pkexec says; `null`: there is none.
 */
export function isOfPerson({ uid }: Stats, owner: Owner | null): boolean {
  if (process.platform === 'win32') return true
  return uid === process.geteuid?.() || uid === 0 || uid === owner?.uid
}

/**
 * Returns the absolute path of a file that is about to be written, and makes its directory. Looks at
 * every part again: something may have been put there since the file was checked. Throws
 * `bad-project`.
 */
export async function placeToWrite(
  directory: string,
  text: string,
  { owner }: StateDirectory,
): Promise<string> {
  refusePlace(directory, text, owner)
  const path = join(directory, text)
  await makePrivateDirectory(dirname(path), owner, 0o755)
  refusePlace(directory, text, owner)
  return path
}

/** Throws `bad-project` where a path does not lead to a place inside the project now. */
export function refusePlace(directory: string, text: string, owner: Owner | null): void {
  const fault = pathFault(text) ?? placeFault(directory, text, owner)
  if (fault === null) return
  throw new RootlingError('bad-project', `The path ${text} ${fault}.`, {
    hint: 'Write a path below the directory of rootling.json, and make its directories real ones',
  })
}
