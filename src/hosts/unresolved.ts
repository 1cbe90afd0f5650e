import { hostname } from 'node:os'
import { RootlingError } from '../errors.ts'
import { mappingsOf, readHosts } from './hosts-file.ts'

/** Matches a host below a top-level domain that no public DNS server has (RFC 6761 §6, RFC 6762 §3). */
const reservedName = /^[^*@:/]+\.(?:test|example|invalid|local)$/

/**
 * Returns the names below .test, .example, .invalid and .local that a hosts file lacks, but for this
 * machine's own below .local. No public DNS server knows these, so that the file tells what a query
 * would, which might hang. Whether other names resolve is not known here; browsers themselves resolve
 * those below .localhost. Wildcards are left out, since a hosts file has none. Returns no name where the
 * file cannot be read.
 */
export function unresolvedNames(names: readonly string[], file: string): string[] {
  const asked = names.filter((name) => reservedName.test(name) && !isOwnName(name))
  if (asked.length === 0) return []
  try {
    const mapped = new Set(mappingsOf(readHosts(file), asked).map(({ name }) => name))
    return asked.filter((name) => !mapped.has(name))
  } catch (error) {
    if (error instanceof RootlingError) return []
    throw error
  }
}

/** Whether a name is the one by which mDNS finds this machine. */
const isOwnName = (name: string): boolean =>
  name.endsWith('.local') &&
  name.toLowerCase() === `${hostname().replace(/\..*$/, '')}.local`.toLowerCase()
