import { closeSync, openSync, readSync } from 'node:fs'
import path from 'node:path'
import { isFullPath } from '../../src/full-path.ts'
import { isFile } from '../file-status.ts'

/** Limits on what is read: nobody has a thousand profiles, and the file may be anything. */
const limits = { bytes: 1_000_000, profiles: 1000 }

/**
 * Returns the profile directories that `profiles.ini` in Firefox's directory `root` names; none
 * when there is no such file.
 */
export async function readProfiles(root: string): Promise<string[]> {
  return parseProfiles(await readStart(path.join(root, 'profiles.ini')), root)
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

/**
 * Returns the first million bytes of a file as text; an empty string when the path is no file or
 * cannot be read.
 */
async function readStart(file: string): Promise<string> {
  // Only a regular file is opened: opening a named pipe would wait for its writer for ever.
  if (!(await isFile(file))) return ''
  try {
    const opened = openSync(file, 'r')
    try {
      const start = Buffer.alloc(limits.bytes)
      return start.toString('utf8', 0, readSync(opened, start, 0, limits.bytes, 0))
    } finally {
      closeSync(opened)
    }
  } catch {
    return ''
  }
}
