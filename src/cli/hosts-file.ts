import { readFileSync } from 'node:fs'
import { win32 } from 'node:path'
import { system32 } from '../../platform/windows/system-program.ts'
import type { Output } from './output.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Returns the path of this machine's hosts file. */
export const hostsFile = (env: Environment, system = process.platform): string =>
  system === 'win32' ? win32.join(system32(env), 'drivers', 'etc', 'hosts') : '/etc/hosts'

/** Matches a host below a top-level domain that no public DNS server has (RFC 6761 §6). */
const reservedName = /^[^*@:/]+\.(?:test|example|invalid)$/

/**
 * Returns the names below .test, .example and .invalid that a hosts file lacks. No public DNS server
 * knows these, so that the file tells what a query would, which might hang. Whether other names
 * resolve is not known here; browsers themselves resolve those below .localhost. Wildcards are left
 * out, since a hosts file has none. Returns no name where the file cannot be read.
 */
export function namesWithoutHost(names: readonly string[], file: string): string[] {
  const asked = names.filter((name) => reservedName.test(name))
  if (asked.length === 0) return []
  const hosts = hostsIn(file)
  return hosts === null ? [] : asked.filter((name) => !hosts.has(name))
}

/** Returns the names in a hosts file; `null`: it cannot be read. */
function hostsIn(file: string): ReadonlySet<string> | null {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return null
  }
  return new Set(text.toLowerCase().replace(/#.*/g, '').split(/\s+/))
}

/** Tells in one note which names this machine does not find, and the line that mends it. */
export function noteUnresolved(names: readonly string[], env: Environment, output: Output): void {
  const file = hostsFile(env)
  const missing = namesWithoutHost(names, file)
  if (missing.length === 0) return
  const [are, them] = missing.length === 1 ? ['is', 'it'] : ['are', 'them']
  output.note(
    `${missing.join(' and ')} ${are} not in ${file}, so this machine finds ${them} only if a DNS server of yours knows ${them}. The line to add there: 127.0.0.1 ${missing.join(' ')}`,
  )
}
