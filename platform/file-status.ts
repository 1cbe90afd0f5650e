import { lstat, stat } from 'node:fs/promises'

/** Whether a path leads to something; a dangling link leads to nothing. */
export async function exists(file: string): Promise<boolean> {
  return (await stat(file).catch(() => null)) !== null
}

/** Whether something has this path, a dangling link included. */
export async function isTaken(file: string): Promise<boolean> {
  return (await lstat(file).catch(() => null)) !== null
}

export async function isFile(file: string): Promise<boolean> {
  return (await stat(file).catch(() => null))?.isFile() ?? false
}

export async function isDirectory(file: string): Promise<boolean> {
  return (await stat(file).catch(() => null))?.isDirectory() ?? false
}
