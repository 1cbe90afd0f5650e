import path from 'node:path'
import { isFullPath } from '../../src/full-path.ts'
import { readStart } from '../read-start.ts'

/** Limits on what is read: nobody has a thousand profiles, and the file may be anything. */
const limits = { bytes: 1_000_000, profiles: 1000 }

/**
 * Returns the profile directories that `profiles.ini` in Firefox's directory `root` names; none
 * when there is no such file.
 */
export async function readProfiles(root: string): Promise<string[]> {
  const start = await readStart(path.join(root, 'profiles.ini'), limits.bytes)
  return parseProfiles(start?.toString() ?? '', root)
}

/** Returns the absolute paths of the profile directories that a profiles.ini names, each once. */
export function parseProfiles(text: string, root: string): string[] {
  const found = new Set<string>()
  let section: Map<string, string> | null = null
  const take = () => {
    const named = section?.get('path')
    if (named === undefined || named === '' || named.includes('\0')) return
    const isRelative = section?.get('isrelative') !== '0'
    if (!isRelative && !isFullPath(named)) return
    if (found.size < limits.profiles) {
      found.add(isRelative ? path.join(root, named) : path.normalize(named))
    }
  }
  for (const line of text.split(/\r?\n/)) {
    const header = /^\s*\[(.*)\]\s*$/.exec(line)
    if (header) {
      take()
      section = /^Profile\d+$/i.test(header[1] ?? '') ? new Map() : null
      continue
    }
    const equals = line.indexOf('=')
    if (equals > 0)
      section?.set(line.slice(0, equals).trim().toLowerCase(), line.slice(equals + 1).trim())
  }
  take()
  return [...found].map((directory) => directory.replace(/(?<=.)\/+$/, ''))
}
