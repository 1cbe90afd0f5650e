import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import {
  damaged,
  readScope,
  readScopeKey,
  rootPath,
  scopeNames,
  scopePath,
  scopesAside,
  type Aside,
} from '../storage/files/scopes.ts'
import type { Signer } from '../x509/certificate.ts'
import { parseIdentifier, type Identifier } from '../x509/identifier.ts'
import { signatureAlgorithmOf } from '../x509/keys.ts'
import { day, type Validity } from '../x509/profiles.ts'
import { localConstraints, permits, type NameConstraints } from '../x509/name-constraints.ts'

/** A root and its intermediate, with what they may sign. */
export interface Scope {
  readonly name: string
  readonly created: string
  /** What `ca permit` was given beyond the local names. */
  readonly permitted: readonly string[]
  /** `null`: may sign any name. */
  readonly constraints: NameConstraints | null
  /** Parsed when first asked for: half a millisecond each. */
  readonly root: X509Certificate
  readonly intermediate: X509Certificate
  /** PEM: what stands between its leaves and the root. */
  readonly issuers: string
  /** Of the intermediate. */
  readonly validity: Validity
  readonly rootNotAfter: Date
  readonly keyDigest: string
  /** The root's file, for programs that are told a CA by path. */
  readonly rootPath: string
  readonly issuerName: Buffer
  readonly issuerKeyIdentifier: Buffer
  /** The root signs leaves itself, as one that was imported does; then it stands for the intermediate. */
  readonly direct: boolean
}

/** Every scope, `local` first; none: nothing was created yet. */
export async function readScopes(state: StateDirectory): Promise<Scope[]> {
  return Promise.all((await scopeNames(state)).map((name) => openScope(state, name)))
}

/** The same, for who cannot do without one. Throws `no-authority`. */
export async function requireScopes(state: StateDirectory): Promise<Scope[]> {
  const scopes = await readScopes(state)
  if (scopes.length === 0) throw noAuthority()
  return scopes
}

const noAuthority = (): RootlingError =>
  new RootlingError('no-authority', 'There is no certificate authority yet.', {
    hint: 'rootling install',
  })

/** A scope by its name. Throws `no-authority` or `no-scope`; `hint` is given the names there are. */
export async function requireScope(
  state: StateDirectory,
  name: string,
  hint: (names: readonly string[]) => string,
): Promise<Scope> {
  const names = await scopeNames(state)
  if (names.length === 0) throw noAuthority()
  if (names.includes(name)) return openScope(state, name)
  throw noScope(name, hint(names))
}

/** A `no-scope` error. */
export function noScope(name: string, hint: string): RootlingError {
  return new RootlingError('no-scope', `There is no scope named ${name}.`, { hint })
}

/** The scopes that an unfinished rotation keeps aside; damaged ones are left out. */
export async function readScopesAside(state: StateDirectory): Promise<Scope[]> {
  const scopes: Scope[] = []
  for (const { name, aside } of await scopesAside(state))
    scopes.push(
      ...(await openScope(state, name, aside).then(
        (scope) => [scope],
        () => [],
      )),
    )
  return scopes
}

/** One scope, checked as far as its public half goes. */
export async function openScope(
  state: StateDirectory,
  name: string,
  aside: Aside | '' = '',
): Promise<Scope> {
  const { scope, root, intermediate, keyDigest } = await readScope(state, name, aside)
  const directory = scopePath(state, name + aside)
  const direct = root === intermediate
  const parsed: { root?: X509Certificate; intermediate?: X509Certificate } = {}
  return {
    name,
    created: scope.created,
    permitted: scope.permitted,
    constraints: scope.constraints,
    get root() {
      return (parsed.root ??= parseStored(root, `${directory}/root.pem`, name))
    },
    get intermediate() {
      const path = `${directory}/intermediate.pem`
      return (parsed.intermediate ??= parseStored(intermediate, path, name))
    },
    issuers: direct ? '' : intermediate,
    validity: { notBefore: new Date(scope.notBefore), notAfter: new Date(scope.notAfter) },
    rootNotAfter: new Date(scope.rootNotAfter),
    keyDigest,
    rootPath: rootPath(state, name + aside),
    issuerName: Buffer.from(scope.issuerName, 'base64'),
    issuerKeyIdentifier: Buffer.from(scope.issuerKeyIdentifier, 'hex'),
    direct,
  }
}

function parseStored(pem: string, path: string, name: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (error) {
    throw damaged(path, name, error)
  }
}

/**
 * The narrowest scope that covers every identifier. Throws `no-authority`, or `not-permitted`
 * with the command that permits what is missing.
 */
export function scopeFor(scopes: readonly Scope[], identifiers: readonly Identifier[]): Scope {
  if (scopes.length === 0) throw noAuthority()
  const covering = scopes.filter(({ constraints }) =>
    identifiers.every((identifier) => constraints === null || permits(constraints, identifier)),
  )
  const [narrowest] = covering.toSorted((a, b) => width(a) - width(b))
  if (narrowest !== undefined) return narrowest
  throw notPermitted(scopes, identifiers)
}

function width({ constraints }: Scope): number {
  return constraints === null ? Infinity : constraints.dns.length + constraints.ip.length
}

function notPermitted(scopes: readonly Scope[], identifiers: readonly Identifier[]): RootlingError {
  const uncovered = (scope: Scope): Identifier[] =>
    identifiers.filter(
      (identifier) => scope.constraints !== null && !permits(scope.constraints, identifier),
    )
  // The scope that comes nearest; a new scope has to permit what the local names lack.
  const outside = scopes.map(uncovered).toSorted((a, b) => a.length - b.length)[0] ?? []
  const names = outside.map(({ value }) => value).join(', ')
  const missing = identifiers.filter((identifier) => !permits(localConstraints, identifier))
  const toPermit = [...new Set(missing.map(permitArgument))]
  if (toPermit.includes(null))
    return new RootlingError(
      'not-permitted',
      `No constrained authority can sign ${names}: it names no host.`,
      { hint: 'rootling ca permit --unconstrained' },
    )
  // A whole top-level domain, such as a bare host name, is permitted only when insisted upon.
  const insist = toPermit.some((name) => /^[^.:]+$/.test(name ?? '')) ? ' --force' : ''
  const [is, it] = outside.length === 1 ? ['is', 'it'] : ['are', 'them']
  return new RootlingError(
    'not-permitted',
    `${names} ${is} outside the names that this authority may sign; browsers would refuse ${it}.`,
    { hint: `rootling ca permit ${toPermit.join(' ')}${insist}` },
  )
}

/** What `ca permit` needs for an identifier: its domain or address; `null`: nothing permits it. */
function permitArgument(identifier: Identifier): string | null {
  switch (identifier.type) {
    case 'dns':
      return identifier.value.replace(/^\*\./, '')
    case 'ip':
      return identifier.value
    case 'email':
      return identifier.value.slice(identifier.value.lastIndexOf('@') + 1)
    case 'uri':
      return hostOf(identifier.value)
  }
}

/** A URI's host when it is a name; constraints know no addresses there. */
function hostOf(uri: string): string | null {
  try {
    const host = parseIdentifier(new URL(uri).hostname)
    return host.type === 'dns' && !host.value.startsWith('*.') ? host.value : null
  } catch {
    return null
  }
}

/**
 * A scope's signer. Throws `issuer-expired`, `issuer-not-yet-valid`, `loose-key`, or
 * `corrupt-state` when the key is not what the scope was made with.
 */
export async function openSigner(state: StateDirectory, scope: Scope, now: Date): Promise<Signer> {
  const { notBefore, notAfter } = scope.validity
  if (notAfter <= now)
    throw new RootlingError(
      'issuer-expired',
      `The scope ${scope.name} ended on ${said(notAfter)}.`,
      {
        hint: `rootling ca rotate ${scope.name}`,
      },
    )
  if (notBefore > now)
    throw new RootlingError('issuer-not-yet-valid', notYetValid(scope, now), {
      hint: 'Set the clock of this machine',
    })
  const path = `${scopePath(state, scope.name)}/intermediate-key.pem`
  const pem = await readScopeKey(state, scope.name, scope.keyDigest)
  const key = parseKey(pem, path, scope.name)
  const algorithm = signatureAlgorithmOf(key)
  if (algorithm === null) throw damaged(path, scope.name)
  return { name: scope.issuerName, keyIdentifier: scope.issuerKeyIdentifier, algorithm, key }
}

function parseKey(pem: string, path: string, name: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (error) {
    throw damaged(path, name, error)
  }
}

function notYetValid({ name, validity }: Scope, now: Date): string {
  return `The scope ${name} begins on ${said(validity.notBefore)}, and the clock here says ${said(now)}.`
}

const said = (date: Date): string => date.toUTCString()

/** A sentence for the person when a scope ends within 90 days or has not begun; `null`: neither. */
export function expiryWarning(scope: Scope, now: Date): string | null {
  const { name, validity, rootNotAfter } = scope
  if (validity.notBefore > now) return notYetValid(scope, now)
  const end = Math.min(rootNotAfter.getTime(), validity.notAfter.getTime())
  const days = Math.floor((end - now.getTime()) / day)
  if (days >= 90) return null
  const when = days < 0 ? 'has ended' : `ends in ${days} days`
  return `The scope ${name} ${when}. To replace it without a gap: rootling ca rotate ${name}`
}
