import { parseNamePattern } from '../acme/name-patterns.ts'
import { permitsAll } from '../authority/create.ts'
import { isTrusted, scopesIn, type AnyScope } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import type { Storage } from '../storage/storage.ts'
import { parseIpRange } from '../x509/ip.ts'

/**
 * Throws `usage` for the first pattern of a new key, as `parseNamePattern` reads them, that has no name
 * which the team's authority may sign: its accounts would learn that only by their orders.
 */
export async function refuseForeignNames(
  storage: Storage,
  patterns: readonly string[],
): Promise<void> {
  const scopes = (await scopesIn(storage)).filter(isTrusted)
  const foreign = patterns
    .map(parseNamePattern)
    .find((pattern) => !scopes.some((scope) => hasNameOf(scope, pattern)))
  if (foreign === undefined) return
  const permitted = scopes.flatMap((scope) => scope.permitted).join(', ')
  throw new RootlingError('usage', `The authority may sign no name of ${foreign}.`, {
    hint: `It may sign ${permitted}, all below that, and nothing else`,
  })
}

function hasNameOf(scope: AnyScope, pattern: string): boolean {
  const name = pattern.replace(/^\*\./, '')
  if (permitsAll(scope, [name])) return true
  // A wide range or a high wildcard may still have some.
  if (parseIpRange(name) !== null) return name.includes('/')
  return name !== pattern && scope.permitted.some((one) => one.endsWith(`.${name}`))
}
