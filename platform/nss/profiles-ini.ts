import { open } from 'node:fs/promises'
import path from 'node:path'
import { isFile } from '../file-status.ts'

/** Limits on what is read: nobody has a thousand profiles, and the file may be anything. */
const limits = { bytes: 1_000_000, profiles: 1000 }

/** The profile directories that `profiles.ini` in a directory of Firefox names; none without it. */
export async function readProfiles(root: string): Promise<string[]> {
  return parseProfiles(await readStart(path.join(root, 'profiles.ini')), root)
}

/** The profile directories that a profiles.ini names, absolute, each once. */
export function parseProfiles(text: string, root: string): string[] {
  const found = new Set<string>()
  let section: Map<string, string> | null = null
  const take = () => {
    const named = section?.get('path')
    if (named === undefined || named === '' || named.includes('\0')) return
    const isRelative = section?.get('isrelative') !== '0'
    if (!isRelative && !path.isAbsolute(named)) return
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

/** The first million bytes of a file as text; empty where it cannot be read or is not a file. */
async function readStart(file: string): Promise<string> {
  // Opening a named pipe would wait for its writer for ever.
  const handle = (await isFile(file)) ? await open(file, 'r').catch(() => null) : null
  if (handle === null) return ''
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(limits.bytes), 0, limits.bytes, 0)
    return buffer.toString('utf8', 0, bytesRead)
  } catch {
    return ''
  } finally {
    await handle.close()
  }
}
