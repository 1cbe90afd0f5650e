import { readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/**
 * Whether a file is mounted by itself, as containers mount single files. Nothing can be renamed over
 * such a file. Only Linux has such mounts.
 */
export function isMountPoint(path: string): boolean {
  return mountPointsAmong([path]).length > 0
}

/** Returns the paths of which `isMountPoint` is true. */
export function mountPointsAmong(paths: readonly string[]): string[] {
  if (process.platform !== 'linux' || paths.length === 0) return []
  const mounted = mountPoints()
  return paths.filter((path) => mounted.has(withoutLinks(path)))
}

/** The fifth field of each line is the mount point (proc_pid_mountinfo(5)). */
function mountPoints(): ReadonlySet<string> {
  try {
    const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
    return new Set(lines.map((line) => unescape(line.split(' ', 5)[4] ?? '')))
  } catch {
    // Where /proc is not mounted, nothing is known of mounts, and the write itself shows its error.
    return new Set()
  }
}

/** The kernel writes spaces, tabs, line ends and backslashes in octal. */
const unescape = (field: string): string =>
  field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))

/** Follows links in all of a path but its last part, which a rename would replace. */
function withoutLinks(path: string): string {
  try {
    return join(realpathSync.native(dirname(path)), basename(path))
  } catch {
    return path
  }
}
