/**
 * Whether a path leads to the same place from every directory. On Windows such a path begins with a
 * drive or a share: `\usr\bin` is on the current drive, where any user may have made it, although
 * `isAbsolute` of `node:path` calls it absolute.
 */
export function isFullPath(path: string, system: NodeJS.Platform = process.platform): boolean {
  return system === 'win32' ? /^(?:[A-Za-z]:[\\/]|[\\/]{2}[^\\/])/.test(path) : path.startsWith('/')
}
