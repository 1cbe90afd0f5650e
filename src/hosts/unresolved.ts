import { RootlingError } from '../errors.ts'
import { mappingsOf, readHosts } from './hosts-file.ts'

/** Matches a host below a top-level domain that no public DNS server has (RFC 6761 §6). */
const reservedName = /^[^*@:/]+\.(?:test|example|invalid)$/

/**
 * Returns the names below .test, .example and .invalid that a hosts file lacks. No public DNS server
 * knows these, so that the file tells what a query would, which might hang. Whether other names
 * resolve is not known here; browsers themselves resolve those below .localhost. Wildcards are left
 * out, since a hosts file has none. Returns no name where the file cannot be read.
 */
export function unresolvedNames(names: readonly string[], file: string): string[] {
  const asked = names.filter((name) => reservedName.test(name))
  if (asked.length === 0) return []
  try {
    const mapped = new Set(mappingsOf(readHosts(file), asked).map(({ name }) => name))
    return asked.filter((name) => !mapped.has(name))
  } catch (error) {
    if (error instanceof RootlingError) return []
    throw error
  }
}
