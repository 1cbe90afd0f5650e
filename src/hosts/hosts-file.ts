import { closeSync, constants, existsSync, openSync, readFileSync } from 'node:fs'
import { win32 } from 'node:path'
import { system32 } from '../../platform/windows/system-program.ts'
import { RootlingError } from '../errors.ts'
import { sizeWithin } from '../files/read.ts'
import { canonicalAddress } from './host-name.ts'
import { quotedPath } from '../shell-word.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Returns the path of this machine's hosts file. */
export const hostsFile = (env: Environment, system = process.platform): string =>
  system === 'win32' ? win32.join(system32(env), 'drivers', 'etc', 'hosts') : '/etc/hosts'

/** The largest hosts file that is read, in octets: lists against advertising have up to ten million. */
const largest = 32 * 1024 * 1024

/**
 * Reads a hosts file as text of one character for each octet, so that it can be written again octet
 * for octet. Throws `hosts-failed` when it is absent, too large, or no text of such characters.
 */
export function readHosts(file: string): string {
  const bytes = readBytes(file)
  const isWide = bytes[0] === 0xfe || bytes[0] === 0xff
  if (isWide || bytes.includes(0))
    throw refusal(file, isWide ? 'is in UTF-16, which no program reads there' : 'is not a text')
  return bytes.toString('latin1')
}

/** Does what `readHosts` does; a file that is absent is empty. */
export const readHostsIfThere = (file: string): string => (existsSync(file) ? readHosts(file) : '')

function readBytes(file: string): Buffer {
  let opened: number
  try {
    // O_NONBLOCK: otherwise opening a FIFO would wait for ever.
    opened = openSync(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (error) {
    const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    throw isAbsent
      ? refusal(
          file,
          'is not there',
          'Make it, with the line “127.0.0.1 localhost”, then try again',
        )
      : refusal(file, 'cannot be read', undefined, error)
  }
  try {
    sizeWithin(file, opened, largest)
    return readFileSync(opened)
  } catch (error) {
    if (error instanceof RootlingError)
      throw new RootlingError('hosts-failed', error.message, { cause: error })
    throw refusal(file, 'cannot be read', undefined, error)
  } finally {
    closeSync(opened)
  }
}

const refusal = (file: string, why: string, hint?: string, cause?: unknown): RootlingError =>
  new RootlingError('hosts-failed', `${quotedPath(file)} ${why}, so it was left as it is.`, {
    hint,
    cause,
  })

/** A line that gives a name an address. */
export interface Mapping {
  readonly name: string
  readonly address: string
  /** Where the line starts in the text. */
  readonly start: number
  /** The line without its line end. */
  readonly line: string
}

/**
 * Returns the lines of a hosts file that map these names, which are in lower case. The file may have
 * hundreds of thousands of lines, so each name is searched for in the whole text: lines are not
 * split one by one.
 */
export function mappingsOf(text: string, names: Iterable<string>): Mapping[] {
  const lower = text.toLowerCase()
  // Codes up to that of a space are of blanks; after the last character the code is NaN.
  const isBetween = (at: number, name: string): boolean => {
    const next = lower.charCodeAt(at + name.length)
    return lower.charCodeAt(at - 1) <= 0x20 && !(next > 0x20 && next !== 0x23)
  }
  return [...new Set(names)].flatMap((name) => {
    const found: Mapping[] = []
    for (let at = lower.indexOf(name); at !== -1; at = lower.indexOf(name, at + 1)) {
      if (!isBetween(at, name)) continue
      const start = lower.lastIndexOf('\n', at) + 1
      const next = lower.indexOf('\n', at)
      const stop = next === -1 ? lower.length : next
      const mapping = mappingIn(text.slice(start, stop), name)
      if (mapping !== null) found.push({ ...mapping, start })
      at = stop
    }
    return found
  })
}

function mappingIn(line: string, name: string): Omit<Mapping, 'start'> | null {
  const plain = line.replace(/^\u00EF\u00BB\u00BF/, '').replace(/#[^]*/, '')
  const [first = '', ...names] = plain.trim().toLowerCase().split(/\s+/)
  const address = canonicalAddress(first)
  if (address === null || !names.includes(name)) return null
  return { name, address, line: line.trim() }
}
