import { makeScope } from '../authority/ceremony.ts'
import { checkPermit, permitsAll } from '../authority/create.ts'
import { widen } from '../x509/name-constraints.ts'
import { isTrusted, scopesIn, type AnyScope } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import type { Storage } from '../storage/storage.ts'

export interface FoundRequest {
  /** The domains, each with all below it, and ranges of addresses that the authority may sign. */
  readonly permit: readonly string[]
  /** Permits a whole top-level domain, or a large part of all addresses, too. */
  readonly force?: boolean | undefined
}

/** The name of the only scope of a team's authority. */
const scopeName = 'team'

/**
 * Makes the authority of a team, which may sign the names permitted and no others, or returns the one
 * that is there. The root's key is wiped before anything is written. Throws `usage` and `bad-name` for
 * the names, `scope-exists` where the authority permits fewer names, and `database-away`.
 */
export async function foundAuthority(
  storage: Storage,
  { permit, force }: FoundRequest,
  now: Date,
): Promise<{ readonly scope: AnyScope; readonly created: boolean }> {
  const request = { permit, name: scopeName, ...(force === undefined ? {} : { force }) }
  const { permitted } = checkPermit(request)
  const constraints = widen({ dns: [], ip: [] }, permitted)
  return storage.change(async (change) => {
    const existing = (await scopesIn({ ...storage, ...change })).find(isTrusted)
    if (existing !== undefined) return { scope: refuseFewer(existing, permitted), created: false }
    const { intermediateKey, ...scope } = await makeScope(
      { name: scopeName, permitted, constraints },
      now,
    )
    await change.createScope(scope, intermediateKey)
    const [made] = await scopesIn({ ...storage, ...change })
    if (made === undefined) throw new TypeError('the scope was created in this change')
    return { scope: made, created: true }
  })
}

function refuseFewer(scope: AnyScope, permitted: readonly string[]): AnyScope {
  if (permitsAll(scope, permitted)) return scope
  throw new RootlingError(
    'scope-exists',
    `The authority is there already, and may sign ${scope.permitted.join(', ')} alone.`,
    { hint: 'An authority never gets more names: make one in another database' },
  )
}
