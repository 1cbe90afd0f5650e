import { lstat, readFile, stat } from 'node:fs/promises'

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

/** Whether this path is a directory; a symbolic link to one is none. */
export async function isDirectoryItself(file: string): Promise<boolean> {
  return (await lstat(file).catch(() => null))?.isDirectory() ?? false
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
