import { lstatSync, readdirSync, readFileSync, realpathSync, statSync, type Stats } from 'node:fs'
import { readFile } from 'node:fs/promises'

/*
 * The page cache answers these calls, so they are made synchronously: a command asks hundreds of
 * them, and Node's thread pool and an error for each absent file would take most of its time.
 */

function statusOf(file: string, look: typeof statSync): Stats | undefined {
  try {
    return look(file, { throwIfNoEntry: false })
  } catch {
    // What a directory hides, or a loop of links, is there for nobody.
    return undefined
  }
}

/** Whether a path leads to something; a dangling link leads to nothing. */
export async function exists(file: string): Promise<boolean> {
  return statusOf(file, statSync) !== undefined
}

/** Whether something has this path, a dangling link included. */
export async function isTaken(file: string): Promise<boolean> {
  return statusOf(file, lstatSync) !== undefined
}

export async function isFile(file: string): Promise<boolean> {
  return statusOf(file, statSync)?.isFile() ?? false
}

export async function isDirectory(file: string): Promise<boolean> {
  return statusOf(file, statSync)?.isDirectory() ?? false
}

/** Whether this path is a directory; a symbolic link to one is none. */
export async function isDirectoryItself(file: string): Promise<boolean> {
  return statusOf(file, lstatSync)?.isDirectory() ?? false
}

/** Returns the names in a directory; none where it cannot be read. */
export async function namesIn(directory: string): Promise<string[]> {
  if (statusOf(directory, statSync) === undefined) return []
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

/** Returns a path with all links resolved; `null`: it leads to nothing. */
export async function realPathOf(file: string): Promise<string | null> {
  if (statusOf(file, statSync) === undefined) return null
  try {
    return realpathSync.native(file)
  } catch {
    return null
  }
}

/** Reads a file, also through a link, one character for each octet; `null`: it cannot be read. */
export async function readLatin1(file: string): Promise<string | null> {
  if (statusOf(file, statSync) === undefined) return null
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return null
  }
}

/** Whether something is mounted on this path, which has no symbolic link in it; Linux only. */
export async function isMountPoint(file: string): Promise<boolean> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')
  // The fifth field is the path, in which proc_pid_mountinfo(5) writes a space as \040.
  return mounts.split('\n').some((line) => {
    const escaped = line.split(' ')[4] ?? ''
    const bytes = escaped.replaceAll(/\\([0-7]{3})/g, (_, code: string) =>
      String.fromCharCode(Number.parseInt(code, 8)),
    )
    return bytes === file
  })
}
