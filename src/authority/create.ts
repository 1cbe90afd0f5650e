import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { isDeviceName } from '../files/windows-name.ts'
import { shellWord } from '../shell-word.ts'
import { updateAllRoots } from '../storage/files/all-roots.ts'
import { createScope, markAsCache, scopeNames } from '../storage/files/scopes.ts'
import { readStoreMemory, writeStoreMemory } from '../storage/files/store-memory.ts'
import { isScopeName } from '../storage/files/stored-values.ts'
import { exclusively } from '../storage/files/unfinished-writes.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import { inRange, ipRangeText, parseIpRange } from '../x509/ip.ts'
import { localConstraints, permits, widen, type NameConstraints } from '../x509/name-constraints.ts'
import { makeScope } from './ceremony.ts'
import { noAuthority, openScope, readScopes, type Scope } from './scope.ts'

export interface Created {
  readonly scope: Scope
  /** `false`: the scope existed already. */
  readonly created: boolean
}

/**
 * Returns the `local` scope, and creates it where there is none; `hardened` is for the new one. Of
 * two processes that start at once, one creates it.
 */
export async function ensureAuthority(
  state: StateDirectory,
  now: Date,
  hardened = false,
): Promise<Created> {
  if ((await scopeNames(state)).includes('local'))
    return { scope: await openScope(state, 'local'), created: false }
  return exclusively(state, async () => {
    if ((await scopeNames(state)).includes('local'))
      return { scope: await openScope(state, 'local'), created: false }
    const plan = { name: 'local', permitted: [], constraints: localConstraints, hardened }
    const scope = await addScope(state, plan, now)
    const { kinds = null, untrusted = [] } = (await readStoreMemory(state)) ?? {}
    await writeStoreMemory(state, { kinds, untrusted: [...untrusted, scope.name] })
    return { scope, created: true }
  })
}

/**
 * Returns the scope for client or mail certificates, whose root goes into no trust store, and
 * creates it where there is none. Throws `no-authority` where there is no scope at all.
 */
export async function ensureScopeFor(
  state: StateDirectory,
  use: 'clients' | 'mail',
  now: Date,
): Promise<Scope> {
  const scopes = await readScopes(state)
  if (scopes.length === 0) throw noAuthority()
  const existing = (all: readonly Scope[]) => all.find((scope) => scope.use === use)
  const found = existing(scopes)
  if (found !== undefined) return found
  return exclusively(state, async () => {
    const made = existing(await readScopes(state))
    if (made !== undefined) return made
    const name = await freeName(state, use)
    return addScope(state, { name, use, permitted: [], constraints: null }, now)
  })
}

export interface PermitRequest {
  /** DNS names (each with all below it), addresses and CIDR ranges. */
  readonly permit: readonly string[]
  /** Default: made from the first of `permit`. */
  readonly name?: string | undefined
  /** The scope may sign any name, as mkcert's root may. */
  readonly unconstrained?: boolean
  /** The scope may sign any name, and its root goes into no trust store; then `name` is needed. */
  readonly private?: boolean
  /** Permits a whole top-level domain, or a large part of all addresses, too. */
  readonly force?: boolean
}

/**
 * Adds a scope beside the others, which stay as they are. To widen one, a new certificate for its
 * old subject and key would be needed, and a client would choose between both by their order in a
 * bundle. The new scope is hardened where `local` is, unless it may sign any name. Where a scope
 * permits exactly this already, or no name was chosen and one permits all this, it is returned
 * instead. Throws `usage`, `bad-name`, and
 * `scope-exists` when the scope `name` permits something else.
 */
export async function permitScope(
  state: StateDirectory,
  request: PermitRequest,
  now: Date,
): Promise<Created> {
  const { name, use, permitted, constraints } = checkPermit(request)
  return exclusively(state, async () => {
    const scopes = await readScopes(state)
    const same = scopes.find(
      (scope) =>
        (request.name === undefined || scope.name === name) &&
        scope.use === use &&
        (constraints === null) === (scope.constraints === null) &&
        sameNames(scope.permitted, permitted),
    )
    if (same !== undefined) return { scope: same, created: false }
    const covering = request.name === undefined && scopes.find((one) => permitsAll(one, permitted))
    if (covering && use === 'servers' && constraints !== null)
      return { scope: covering, created: false }
    const free = request.name ?? (await freeName(state, name))
    const hardened = isHardened(scopes) && use === 'servers' && constraints !== null
    const plan = { name: free, use, permitted, constraints, hardened }
    return { scope: await addScope(state, plan, now), created: true }
  })
}

/**
 * Whether a scope of trusted servers permits all these domains and ranges already. One that may sign
 * any name is no reason to do without a scope for these alone.
 */
export function permitsAll(
  { use, constraints }: Pick<Scope, 'use' | 'constraints'>,
  permitted: readonly string[],
): boolean {
  if (use !== 'servers' || constraints === null) return false
  return permitted.every((text) => {
    const range = parseIpRange(text)
    if (range === null) return permits(constraints, parseIdentifier(text))
    return constraints.ip
      .map(parseIpRange)
      .some(
        (wide) =>
          wide?.address.length === range.address.length &&
          wide.prefix <= range.prefix &&
          inRange(range.address, wide),
      )
  })
}

/** Whether the scopes that are added to these are hardened: those beside a hardened `local` are. */
export const isHardened = (scopes: readonly Scope[]): boolean =>
  scopes.some(({ name, copies }) => name === 'local' && copies !== null)

/**
 * Checks a request before anything is created, and returns what it would add. Throws `usage` or
 * `bad-name`.
 */
export function checkPermit(request: PermitRequest): {
  name: string
  use: 'servers' | 'private'
  permitted: string[]
  constraints: NameConstraints | null
} {
  const permitted = [...new Set(request.permit.map((text) => parsePermit(text, request.force)))]
  const unconstrained = request.unconstrained === true
  if (request.private === true) return checkPrivate(request)
  if (unconstrained && permitted.length > 0)
    throw new RootlingError('usage', 'An unconstrained scope takes no names: it may sign any.', {
      hint: 'rootling ca permit --unconstrained',
    })
  if (!unconstrained && permitted.length === 0)
    throw new RootlingError('usage', 'Name the domains or address ranges to permit.', {
      hint: 'rootling ca permit dev.example.com',
    })
  const constraints = unconstrained ? null : widen(localConstraints, permitted)
  const name = request.name ?? (unconstrained ? 'unconstrained' : scopeNameFor(permitted))
  refuseScopeName(name, '--name work')
  return { name, use: 'servers', permitted, constraints }
}

function checkPrivate({
  permit,
  name = '',
  unconstrained,
}: PermitRequest): ReturnType<typeof checkPermit> {
  if (permit.length > 0 || unconstrained === true)
    throw new RootlingError('usage', 'A private scope may sign any name; it takes none.', {
      hint: `rootling ca permit --private ${shellWord(name)}`,
    })
  refuseScopeName(name, '--private vpn')
  return { name, use: 'private', permitted: [], constraints: null }
}

function refuseScopeName(name: string, example: string): void {
  if (isDeviceName(name))
    throw new RootlingError('usage', `${name} is a device of Windows, so it cannot name a scope.`, {
      hint: `Choose another name: ${example}`,
    })
  if (isScopeName(name) && name !== 'local') return
  throw new RootlingError('usage', `${name} cannot be the name of a new scope.`, {
    hint: `Use lower-case letters, digits and hyphens: ${example}`,
  })
}

async function addScope(
  state: StateDirectory,
  plan: Parameters<typeof makeScope>[0],
  now: Date,
): Promise<Scope> {
  await markAsCache(state)
  if (await createScope(state, await makeScope({ ...plan, authority: state.authority }, now))) {
    await updateAllRoots(state)
    return openScope(state, plan.name)
  }
  throw new RootlingError('scope-exists', `A scope named ${plan.name} permits something else.`, {
    hint:
      plan.permitted.length === 0
        ? 'Choose another name for the new scope'
        : `Choose another name with --name, or add the names to that scope: rootling ca permit ${plan.permitted.join(' ')} --name ${shellWord(plan.name)} --add`,
  })
}

/**
 * The shortest prefixes that are permitted without `--force`: that of the largest private range
 * (RFC 1918), and that of the largest block that IANA gives to a registry.
 */
const widestPrefix = { ipv4: 8, ipv6: 12 } as const

/**
 * Parses one argument of `ca permit`. Returns a domain as lower-case A-labels, or a range in CIDR
 * form.
 */
function parsePermit(text: string, force = false): string {
  const input = text.trim()
  const range = parseIpRange(input)
  if (range !== null) {
    if (range.prefix === 0)
      throw new RootlingError('usage', `${input} is every address there is.`, {
        hint: 'rootling ca permit --unconstrained',
      })
    if (range.prefix < widestPrefix[range.address.length === 4 ? 'ipv4' : 'ipv6'] && !force)
      throw new RootlingError('usage', `${input} holds a large part of all addresses.`, {
        hint: 'Permit the range that is yours, such as 203.0.113.0/24; or add --force',
      })
    return ipRangeText(range)
  }
  const identifier = parseIdentifier(input.replace(/^\*?\./, ''))
  if (identifier.type !== 'dns')
    throw new RootlingError('usage', `${input} is neither a domain nor an address range.`, {
      hint: 'rootling ca permit dev.example.com 10.1.0.0/16',
    })
  if (!identifier.value.includes('.') && !force && !localConstraints.dns.includes(identifier.value))
    throw new RootlingError('usage', `${identifier.value} is a whole top-level domain.`, {
      hint: `Permit the names that are yours, such as dev.${identifier.value}; or add --force`,
    })
  return identifier.value
}

function scopeNameFor(permitted: readonly string[]): string {
  return (permitted[0] ?? '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63)
}

/**
 * Returns a generated name for a scope, with a number where the name is taken: scopes for `a.b c.d`
 * and for `a.b` would both be named `a-b`.
 */
async function freeName(state: StateDirectory, name: string): Promise<string> {
  const taken = await scopeNames(state)
  let free = name
  for (let n = 2; taken.includes(free); n++) free = `${name.slice(0, 58)}-${n}`
  return free
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name) => b.includes(name))
}
